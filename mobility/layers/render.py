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
    """Rows `n`, `feature`, `key` of a layer, in the order of its source."""
    text = feature(layer.chosen(fields), areas=layer.geometry == "polygon")
    columns = f"row_number() OVER () AS n, {text} AS feature, {layer.key} AS key"
    return f"SELECT {columns} FROM ({sql(layer.source)}) s"  # noqa: S608 (our own text)


def rendered_page(layer: Layer, params: dict[str, Any], fields: Sequence[str], limit: int) -> RenderedPage:
    """The first `limit` features, in one query; `params` are those of the source, without its `limit`."""
    statement = (
        "SELECT coalesce(string_agg(f.feature, ',') FILTER (WHERE f.n <= %(page)s), ''),"  # noqa: S608 (our own text)
        " count(*), max(f.key) FILTER (WHERE f.n = %(page)s)"
        f" FROM ({features_sql(layer, fields)}) f"
    )
    connection.ensure_connection()
    raw: Any = connection.connection
    with connection.wrap_database_errors, psycopg.ClientCursor(raw) as cursor:
        cursor.execute(statement, params | {"page": limit, "limit": limit + 1})
        features, found, last_key = cursor.fetchone() or ("", 0, None)
    return RenderedPage(features, min(found, limit), last_key if found > limit else None)
