"""In which order the nearest drivers are asked: by distance, or by the time they need to the pickup."""

from geo.coordinates import LatLon
from geo.routing.router import GREAT_CIRCLE
from mobility.conf import knobs
from mobility.dispatch.queries import FIRST_FETCH, Candidate
from mobility.dispatch.travel import engine_is_set, router

# One question to the engine, and as many as the first walk of the index fetches.
RANKED = FIRST_FETCH


class Ranking:
    """The order for one look for drivers. The engine is asked at most once in it, however often the look is widened.

    A ride's row is locked meanwhile, so the time is bounded by `ranking_timeout_s`.
    """

    def __init__(self) -> None:
        self._by_eta = knobs().ranking == "eta" and engine_is_set()
        self._times_s: dict[int, float] | None = None

    @property
    def changed_by_eta(self) -> bool:
        """Whether travel times had a say."""
        return bool(self._times_s)

    def ranked(self, pickup: LatLon, nearest: list[Candidate]) -> list[Candidate]:
        """The nearest drivers (by distance) in the order in which to ask them.

        Of the first 16 those the engine can route, soonest first; equal times by distance, then by id. Then everybody
        else by distance: who cannot get there by road, or is farther away than the first 16. When the engine fails, all
        stay by distance.
        """
        if not self._by_eta:
            return nearest
        if self._times_s is None and len(nearest) > 1:
            self._times_s = _times_s(pickup, nearest[:RANKED])
        times_s = self._times_s or {}
        return sorted(nearest, key=lambda c: (times_s.get(c.driver_id, float("inf")), c.distance_m, c.driver_id))


def _times_s(pickup: LatLon, candidates: list[Candidate]) -> dict[int, float]:
    """Seconds to the pickup by driver, of those whom the engine can route."""
    legs = router().legs([c.position for c in candidates], pickup, within_s=knobs().ranking_timeout_s)
    return {c.driver_id: leg.duration_s for c, leg in zip(candidates, legs, strict=True) if leg.engine != GREAT_CIRCLE}
