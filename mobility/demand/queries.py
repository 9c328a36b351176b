"""What may be read of demand. Reads only.

The counts themselves are read by sql/demand_layer.sql, as GeoJSON, tiles or rows, with literals in place of its
parameters, so that the planner leaves out what is not asked for.
"""

from mobility.transactions import rows

# For readers who are not operators: smaller counts are not shown, others are rounded.
MIN_COUNT = 10


def demand_version() -> str:
    """Another text whenever demand may read otherwise than before."""
    version: str = rows("demand/sql/version", {})[0].version
    return version
