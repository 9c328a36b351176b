"""Hand-written SQL lives in .sql files beside its feature; this reads them."""

import re
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
_INCLUDE = re.compile(r"\{\{([\w/]+)\}\}")


@cache
def sql(name: str) -> str:
    """The text of `mobility/<name>.sql`, for example `sql("dispatch/sql/assign_nearest")`.

    A `{{part}}` in it is replaced by the file `part.sql` of the same folder (with a slash: of mobility/), so that two
    statements can share a clause.
    Parameters are psycopg's: `%(name)s`.
    """
    path = HERE / f"{name}.sql"
    folder = Path(name).parent
    text = path.read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda m: sql(m[1] if "/" in m[1] else f"{folder}/{m[1]}").rstrip(), text)
