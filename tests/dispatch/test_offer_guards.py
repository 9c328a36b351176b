"""What the database itself forbids about offers and deadlines: attacked with raw SQL, as the application's role."""

import pytest
from django.db import connection, transaction

from mobility.dispatch.states import NOT_AGAIN, OFFER_MOVES, OfferStatus
from mobility.models import Booking
from tests.bookings.test_guards import bound, insert_booking, log_row, named, offered, refused, settle
from tests.staged import attacked

pytestmark = pytest.mark.django_db

NEWEST = "WHERE id = (SELECT max(id) FROM mobility_offer)"


def done(*statements: str) -> None:
    """Run the statements in one transaction up to its commit checks."""
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        settle()


def let_through(*statements: str) -> None:
    """Run the statements and take them back: nothing before the commit stops them."""
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        transaction.set_rollback(True)


def search(ride_id: str = "raw", **changes: str) -> int:
    """A new ride that is searched for; its booking's id."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(insert_booking(ride_id=f"'{ride_id}'", **changes) + " RETURNING id")
        booking_id = cursor.fetchone()[0]
        cursor.execute(log_row(booking_id, 1, "ride_requested", "", "pending"))
    return booking_id


def taken(booking_id: int, driver_id: int) -> list[str]:
    """All that binds a driver to a ride."""
    return [
        offered(booking_id, driver_id),
        bound(booking_id, driver_id),
        log_row(booking_id, 2, "driver_assigned", "pending", "confirmed", f'{{"driver_id": {driver_id}}}'),
        f"UPDATE mobility_driver SET status = 'busy' WHERE id = {driver_id}",
    ]


def cancelled(booking_id: int) -> str:
    """The move that ends a ride before its time."""
    return (
        "UPDATE mobility_booking SET status = 'cancelled', seq = seq + 1, cancelled_at = now(), due_at = NULL,"
        f" cancelled_by = 'passenger' WHERE id = {booking_id}"
    )


def settled(status: str) -> str:
    """The newest offer's move to this status."""
    reason = "'taken'" if status == OfferStatus.WITHDRAWN else "NULL"
    at = "NULL" if status == OfferStatus.PENDING else "now()"
    return f"UPDATE mobility_offer SET status = '{status}', reason = {reason}, settled_at = {at} {NEWEST}"


@pytest.fixture
def searching():
    """The id of a ride that is searched for."""
    return search()


@pytest.fixture
def free(make_driver):
    """The id of a driver who could be asked."""
    return make_driver(0, 0).pk


@pytest.fixture
def ride(make_driver):
    """A confirmed ride; its booking."""
    booking_id, driver = search("bound"), make_driver(10, 10)
    done(*taken(booking_id, driver.pk))
    return Booking.objects.get(pk=booking_id)


def test_a_plain_offer_is_accepted(searching, free):
    done(offered(searching, free, "pending", round="0"))


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"reason": "'taken'"}, "offer_withdrawal_has_reason"),
        ({"due_at": "NULL"}, "offer_pending_has_deadline"),
        ({"expires_at": "NULL"}, "offer_pending_has_deadline"),
        ({"settled_at": "now()"}, "offer_pending_has_deadline"),
        ({"pickup_distance_m": "-1"}, "offer_distance_is_sane"),
        ({"pickup_distance_m": "'NaN'"}, "offer_distance_is_sane"),
        ({"pickup_distance_m": "'Infinity'"}, "offer_distance_is_sane"),
        ({"round": "-1"}, "mobility_offer_round_check"),
        ({"origin": "'rumour'"}, "offer_origin_is_known"),
    ],
    ids=named,
)
def test_an_offer_that_cannot_be_is_refused(searching, free, changes, constraint):
    assert refused(offered(searching, free, "pending", **changes)) == constraint


def test_a_settled_offer_says_when(searching, free):
    assert refused(offered(searching, free, settled_at="NULL")) == "offer_pending_has_deadline"


@pytest.mark.parametrize("reason", ["NULL", "'bored'"], ids=["none", "unknown"])
def test_a_withdrawal_says_why(searching, free, reason):
    withdrawn = f"UPDATE mobility_offer SET status = 'withdrawn', reason = {reason}, settled_at = now()"
    assert refused(offered(searching, free, "pending"), withdrawn) == "offer_withdrawal_has_reason"


def test_behind_the_guard_of_offers_stands_a_check(admin_url):
    """The guard refuses an unknown status first; the check would, were it ever away."""
    assert attacked(admin_url, offered(1, 1, "flying"), triggers=False) == "offer_status_is_known"


class TestMoves:
    """An offer's statuses, pair by pair."""

    PAIRS = [(one, other) for one in ("", *OfferStatus.values) for other in OfferStatus.values if one != other]

    @pytest.mark.parametrize(("source", "target"), PAIRS, ids=[f"{one or 'new'}-{other}" for one, other in PAIRS])
    def test_an_offer_moves_only_as_the_table_says(self, searching, free, source, target):
        reason = {"reason": "'taken'"} if target == OfferStatus.WITHDRAWN else {}
        if not source:
            steps = [offered(searching, free, target, **reason)]
        elif source == OfferStatus.PENDING:
            steps = [offered(searching, free, "pending"), settled(target)]
        else:
            first = [settled("accepted")] if source == OfferStatus.RELEASED else []
            steps = [offered(searching, free, "pending"), *first, settled(source), settled(target)]
        if (source, target) in OFFER_MOVES:
            let_through(*steps)
        else:
            assert refused(*steps) == "offer_move_allowed"

    @pytest.mark.parametrize(
        "change",
        [
            "id = id + 1000", "booking_id = booking_id + 1", "driver_id = driver_id + 1", "round = round + 1",
            "origin = 'operator'", "offered_at = offered_at - interval '1 hour'",
        ],
        ids=named,
    )  # fmt: skip
    @pytest.mark.parametrize("status", ["pending", "accepted"])
    def test_an_offer_keeps_its_identity(self, searching, free, status, change):
        stopped = refused(offered(searching, free, status), f"UPDATE mobility_offer SET {change}")
        assert stopped == "offer_identity_is_fixed"

    @pytest.mark.parametrize("status", sorted({*OfferStatus.values} - {"pending"}))
    def test_a_settled_offer_stays_as_it_is(self, searching, free, status):
        steps = [offered(searching, free, "pending")]
        steps += [settled("accepted")] if status == OfferStatus.RELEASED else []
        for change in ("decline_reason = 'late'", "settled_at = settled_at - interval '1 hour'", "expires_at = NULL"):
            stopped = refused(*steps, settled(status), f"UPDATE mobility_offer SET {change}")
            assert stopped == "offer_settled_is_final"


class TestAgain:
    """Who said no, by word, silence or giving back, is not asked again."""

    def ended(self, searching, free, status):
        first = [settled("accepted")] if status == OfferStatus.RELEASED else []
        return [offered(searching, free, "pending"), *first, settled(status)]

    @pytest.mark.parametrize("status", sorted(NOT_AGAIN))
    @pytest.mark.parametrize("how", ["asked", "auto_accept", "auto_assign"])
    def test_whoever_said_no_is_not_asked_again(self, searching, free, status, how):
        again = offered(searching, free, "pending" if how == "asked" else "accepted", origin=f"'{how}'")
        assert refused(*self.ended(searching, free, status), again) == "offer_not_asked_again"

    def test_another_driver_and_another_ride_are(self, searching, free, make_driver):
        declined = self.ended(searching, free, "declined")
        let_through(*declined, offered(searching, make_driver(1, 1).pk, "pending"))
        let_through(*declined, offered(search("other"), free, "pending"))

    def test_whose_request_was_withdrawn_may_be_asked_again(self, searching, free):
        done(*self.ended(searching, free, "withdrawn"), offered(searching, free, "pending"))

    @pytest.mark.parametrize("status", sorted(NOT_AGAIN))
    def test_an_operator_may_bind_them_all_the_same(self, searching, free, status):
        let_through(*self.ended(searching, free, status), offered(searching, free, origin="'operator'"))


@pytest.mark.parametrize("status", ["pending", "accepted"])
def test_nobody_is_asked_to_drive_themselves(make_driver, status):
    driver = make_driver(0, 0)
    own = search("own", passenger_id=str(driver.user_id))
    assert refused(offered(own, driver.pk, status)) == "offer_not_own_ride"


class TestExpiry:
    """An offer is accepted before its end, by the database's clock, and not at it."""

    def test_an_expired_offer_is_not_accepted(self, searching, free):
        stopped = refused(offered(searching, free, "pending", expires_at="clock_timestamp()"), settled("accepted"))
        assert stopped == "offer_not_after_expiry"

    def test_nor_after_its_end_was_put_off_in_the_same_breath(self, searching, free):
        late = settled("accepted").replace(" SET ", " SET expires_at = now() + interval '1 hour', ")
        stopped = refused(offered(searching, free, "pending", expires_at="clock_timestamp()"), late)
        assert stopped == "offer_not_after_expiry"

    @pytest.mark.parametrize(
        ("microseconds", "constraint"),
        [(-1, "offer_not_after_expiry"), (0, "offer_not_after_expiry"), (1, "")],
        ids=["after", "at", "before"],
    )
    def test_to_the_microsecond(self, admin_url, microseconds, constraint):
        """The guard is given a clock that stands still."""
        now = "timestamptz '2026-06-01 12:00:00+02'"
        stopped = attacked(
            admin_url,
            settled("accepted"),
            staged=[
                "CREATE SCHEMA still",
                "GRANT USAGE ON SCHEMA still TO careconnect_app",
                f"CREATE FUNCTION still.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT {now} $$",
                "ALTER FUNCTION mobility_offer_guard() SET search_path = still, pg_catalog, public, pg_temp",
                offered(1, 1, "pending", expires_at=f"{now} + interval '{microseconds} microseconds'"),
            ],
        )
        assert stopped == constraint


def test_a_ride_is_accepted_once(ride, free):
    assert refused(offered(ride.pk, free)) == "offer_one_accepted_per_ride"


def test_a_driver_is_asked_for_one_ride_at_a_time(searching, free):
    other = search("other")
    stopped = refused(offered(searching, free, "pending"), offered(other, free, "pending"))
    assert stopped == "offer_one_live_per_driver"


class TestLive:
    """Whoever is asked is free, and the ride is searched for."""

    def test_nobody_is_asked_for_a_ride_that_is_bound(self, ride, free):
        assert refused(offered(ride.pk, free, "pending")) == "offer_live_only_while_searching"

    def test_a_search_does_not_end_while_somebody_is_asked(self, searching, free):
        done(offered(searching, free, "pending"))
        moves = [cancelled(searching), log_row(searching, 2, "ride_cancelled", "pending", "cancelled")]
        assert refused(*moves) == "offer_live_only_while_searching"
        done(*moves, settled("withdrawn"))

    def test_nobody_is_asked_who_is_not_available(self, searching, make_driver):
        away = make_driver(0, 0, status="offline")
        assert refused(offered(searching, away.pk, "pending")) == "offer_only_to_free_driver"

    def test_nobody_goes_away_while_they_are_asked(self, searching, free):
        done(offered(searching, free, "pending"))
        gone = f"UPDATE mobility_driver SET status = 'offline' WHERE id = {free}"
        assert refused(gone) == "offer_only_to_free_driver"
        done(gone, settled("withdrawn"))


class TestBinding:
    """A booking, its driver and the accepted offer are one thing."""

    def test_an_accepted_offer_binds(self, searching, free):
        assert refused(offered(searching, free)) == "offer_accepted_is_bound"

    def test_an_offer_is_given_back_only_with_its_ride(self, ride):
        assert refused(settled("released")) == "offer_accepted_is_bound"

    def test_a_ride_is_given_back_only_with_its_offer(self, ride):
        released = [
            "UPDATE mobility_booking SET status = 'pending', seq = seq + 1, driver_id = NULL, offer_id = NULL"
            f" WHERE id = {ride.pk}",
            log_row(ride.pk, 3, "driver_released", "confirmed", "pending"),
            f"UPDATE mobility_driver SET status = 'available' WHERE id = {ride.driver_id}",
        ]
        assert refused(*released) == "offer_accepted_is_bound"
        done(*released, settled("released"))

    def test_nobody_is_bound_by_the_offer_of_another_ride(self, searching, free):
        other = search("other")
        assert refused(offered(other, free), bound(searching, free)) == "booking_driver_is_the_offers"

    def test_nobody_is_bound_by_the_offer_of_another_driver(self, searching, free, make_driver):
        asked = make_driver(1, 1)
        assert refused(offered(searching, asked.pk), bound(searching, free)) == "booking_driver_is_the_offers"

    def test_nobody_is_bound_without_an_offer(self, searching, free):
        confirmed = f"UPDATE mobility_booking SET status = 'confirmed', seq = seq + 1, driver_id = {free}"
        assert refused(confirmed) == "booking_driver_has_offer"

    @pytest.mark.parametrize(
        "change",
        [
            "search_until = now() + interval '1 hour'", "no_show_from = now()", "releases = releases + 1",
            "offer_id = offer_id + 1",
        ],
        ids=named,
    )  # fmt: skip
    def test_what_binds_changes_only_with_a_move(self, ride, change):
        stopped = refused(f"UPDATE mobility_booking SET {change} WHERE id = {ride.pk}")
        assert stopped == "booking_move_is_logged"


class TestRounds:
    """What searches leave behind."""

    ROUND = "INSERT INTO mobility_search_round (booking_id, round, strategy, radius_m, outcome)"
    CONSIDERED = "INSERT INTO mobility_search_considered (booking_id, round, driver_id, distance_m, verdict)"

    def test_rounds_are_counted(self, searching):
        one = f"{self.ROUND} VALUES ({searching}, {{}}, 'nearest', 1, 'nobody')"
        assert refused(one.format(-1)) == "mobility_search_round_round_check"
        done(one.format(1))

    def test_what_came_of_a_round_is_one_of_four_things(self, searching):
        assert refused(f"{self.ROUND} VALUES ({searching}, 1, 'nearest', 1, 'luck')") == "round_outcome_is_known"

    def test_a_round_is_told_once(self, searching):
        one = f"{self.ROUND} VALUES ({searching}, 1, 'nearest', 1, 'nobody')"
        assert refused(one, one) == "mobility_search_round_pkey"

    @pytest.mark.parametrize(
        ("count", "verdict", "constraint"),
        [(1, "ugly", "considered_verdict_is_known"), (-1, "busy", "mobility_search_considered_round_check")],
        ids=["verdict", "round"],
    )
    def test_a_verdict_that_cannot_be_is_refused(self, searching, free, count, verdict, constraint):
        assert refused(f"{self.CONSIDERED} VALUES ({searching}, {count}, {free}, 1, '{verdict}')") == constraint

    def test_a_driver_has_one_verdict_in_a_round(self, searching, free):
        one = f"{self.CONSIDERED} VALUES ({searching}, 1, {free}, 1, 'busy')"
        assert refused(one, one) == "mobility_search_considered_pkey"
