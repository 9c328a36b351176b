"""What may be read of demand. Reads only.

The counts themselves are read by sql/demand_layer.sql, as GeoJSON, tiles or rows, with literals in place of its
parameters, so that the planner leaves out what is not asked for.
"""

from datetime import datetime

from mobility.paging import bad_cursor, decoded
from mobility.transactions import rows

# For readers who are not operators: smaller counts are not shown, others are rounded.
MIN_COUNT = 10


def demand_version() -> str:
    """Another text whenever demand may read otherwise than before."""
    version: str = rows("demand/sql/version", {})[0].version
    return version


def cell_of(cursor: str) -> tuple[datetime, int]:
    """The hour and the id a cursor names."""
    try:
        hour_text, id_text = decoded(cursor).split(" ")
        hour, cell_id = datetime.fromisoformat(hour_text), int(id_text)
    except ValueError:
        raise bad_cursor() from None
    if hour.tzinfo is None or not 0 <= cell_id < 2**63:
        raise bad_cursor()
    return hour, cell_id
