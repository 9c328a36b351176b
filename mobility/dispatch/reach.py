"""Whether a search that finds nobody to ask goes on: all that passengers are told about drivers who are not theirs.

Told by exact distances it would be a measuring tape: three points where "searching" turns into "no drivers" are three
circles, and a driver stands where they meet. So it is told by the cells of a grid (`reach_cell_m`): as if each driver
were everywhere in their cell at once. Whom a ride is offered to is decided by exact distances as ever. See
docs/privacy.md and docs/decisions/0025.
"""

import math

from mobility.conf import knobs
from mobility.dispatch.queries import Search, anybody_left, params_of
from mobility.transactions import rows

_COS_30 = math.cos(math.radians(30))
_METRES_PER_DEGREE = 110_000


def goes_on(search: Search, *, begins: bool) -> bool:
    """Whether a search with nobody to ask waits for somebody instead of being given up.

    With cells that is decided once, when it `begins`: later it goes on to its time limit, since giving it up when the
    last one asked has said no would tell that there was one to ask. Without cells, whenever nobody is left.
    """
    if not knobs().reach_cell_m:
        return anybody_left(search)
    return not begins or anybody_near(search)


def anybody_near(search: Search) -> bool:
    """Whether a driver on duty, busy or not, is in a cell that touches the search's radius."""
    params = params_of(search)
    cell_m = knobs().reach_cell_m
    around_m = params["radius_m"] + params["slack_m"] + widest_m(cell_m, params["latitude"], params["radius_m"])
    return bool(rows("dispatch/sql/anybody_near", params | {"cell_m": cell_m, "around_m": around_m})[0].anybody)


def widest_m(cell_m: float, latitude: float, radius_m: float) -> float:
    """At least the metres from corner to corner of any cell within about `radius_m` of the latitude (degrees).

    The cells are hexagons with edges of `cell_m` on EPSG:6933, true to scale at 30 degrees: wider than high at the
    equator, higher than wide towards the poles, and of one area.
    """
    farthest = min(88.0, abs(latitude) + (radius_m + 10 * cell_m) / _METRES_PER_DEGREE)
    nearest = max(0.0, abs(latitude) - (radius_m + 10 * cell_m) / _METRES_PER_DEGREE)
    wide_m = 2 * cell_m * math.cos(math.radians(nearest)) / _COS_30
    high_m = math.sqrt(3) * cell_m * _COS_30 / math.cos(math.radians(farthest))
    return math.hypot(wide_m, high_m)
