"""The SQL of a layer's answers, and one page of it. Values are put in as literals: each question gets a plan of its
own, in which filters that were not asked for are gone. (The service's few prepared statements share one plan for all
values.)"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg
from django.db import connection

from geo.features import feature
from mobility.layers.layer import Layer
from mobility.sql import sql


class RenderedPage(NamedTuple):
    """The features of a page as JSON texts with commas between, how many, and the key of the last one if more
    follow."""

    features: str
    number: int
    last_key: str | None


def features_sql(layer: Layer, fields: Sequence[str]) -> str:
    """Rows `feature`, `key` of a layer, in the order of its source."""
    made_ahead, others = layer.split(fields)
    text = feature(others, made_ahead=made_ahead, areas=layer.geometry == "polygon")
    return f"SELECT {text} AS feature, {layer.key} AS key FROM ({sql(layer.source)}) s"  # noqa: S608 (our own text)


def rendered_page(layer: Layer, params: dict[str, Any], fields: Sequence[str], limit: int) -> RenderedPage:
    """The first `limit` features, in one query; `params` are those of the source, without its `limit`."""
    connection.ensure_connection()
    raw: Any = connection.connection
    with connection.wrap_database_errors, psycopg.ClientCursor(raw) as cursor:
        cursor.execute(features_sql(layer, fields), params | {"limit": limit + 1})
        rows = cursor.fetchall()
    last_key = rows[limit - 1][1] if len(rows) > limit else None
    return RenderedPage(",".join([row[0] for row in rows[:limit]]), min(len(rows), limit), last_key)
