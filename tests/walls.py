"""The walls of the database, each with the tests that guard it, as data; and how one is taken away.

A wall is whatever keeps out of the mobility_ tables what must never be in them: a CHECK, a key, a unique index, a
hand-written foreign key, a trigger, a rule (each RAISE in a guard's function that names a constraint is one) and a
privilege the application's role does not have. `make mutate-schema` takes them away in turn and sees the tests named
here fail; tests/test_walls.py holds this list against the catalog.

Not listed, because nobody writes or forgets them by hand: the ORM derives them from the fields, and `make lint` tells
when models and migrations differ. These are NOT NULL, the numbering primary keys called `id`, and the foreign keys of
relations (Django calls them ..._fk_...).
"""

import re
from collections import Counter
from typing import Any, NamedTuple

APPLICATION = "careconnect_app"
PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE")


class Wall(NamedTuple):
    """One wall: where it stands (`place` is a table, for a rule its function) and the tests that fail without it."""

    kind: str
    place: str
    name: str
    tests: tuple[str, ...]

    @property
    def key(self) -> str:
        """What CARETEST_REMOVE_WALL and --only call it."""
        return f"{self.kind}:{self.place}:{self.name}" if self.kind in {"rule", "grant"} else f"{self.kind}:{self.name}"


def _in(file: str, *tests: str) -> tuple[str, ...]:
    return tuple(f"tests/{file}.py::{test}" for test in tests)


def _guards(*tests: str) -> tuple[str, ...]:
    return _in("bookings/test_guards", *tests)


def _offers(*tests: str) -> tuple[str, ...]:
    return _in("dispatch/test_offer_guards", *tests)


def _inbox(*tests: str) -> tuple[str, ...]:
    return _in("drivers/test_inbox_guards", *tests)


def _no_booking(*cases: str) -> tuple[str, ...]:
    return _guards(*(f"test_a_booking_that_cannot_be_is_refused[{case}]" for case in cases))


def _no_position(*cases: str) -> tuple[str, ...]:
    return _guards(*(f"test_a_position_that_cannot_be_is_refused[{case}]" for case in cases))


def _history(*tests: str) -> tuple[str, ...]:
    return _in("locations/test_history", *tests)


def _no_past(*cases: str) -> tuple[str, ...]:
    return _history(*(f"test_a_wrong_position_is_refused[{case}]" for case in cases))


def _counted(what: str) -> tuple[str, ...]:
    return _in("layers/test_versions", f"TestWhatCounts::test_every_change_a_layer_shows[{what}]")


def _card(*tests: str) -> tuple[str, ...]:
    return _in("drivers/test_card", *tests)


def _trips(*tests: str) -> tuple[str, ...]:
    return _in("trips/test_guards", *tests)


def _no_trip(*cases: str) -> tuple[str, ...]:
    return _trips(*(f"test_a_trip_that_cannot_be_is_refused[{case}]" for case in cases))


def _places(*tests: str) -> tuple[str, ...]:
    return _in("places/test_place_guards", *tests)


def _no_place(*cases: str) -> tuple[str, ...]:
    return _places(*(f"test_a_place_that_cannot_be_is_refused[{case}]" for case in cases))


def _areas(*tests: str) -> tuple[str, ...]:
    return _in("areas/test_area_guards", *tests)


def _no_area(*cases: str) -> tuple[str, ...]:
    return _areas(*(f"test_an_area_that_cannot_be_is_refused[{case}]" for case in cases))


def _demand(*tests: str) -> tuple[str, ...]:
    return _in("demand/test_guards", *tests)


def _no_counts(*cases: str) -> tuple[str, ...]:
    return _demand(*(f"test_counts_that_cannot_be_are_refused[{case}]" for case in cases))


def _published(*tests: str) -> tuple[str, ...]:
    return _in("analytics/test_published_guards", *tests)


def _too_fine(*cases: str) -> tuple[str, ...]:
    return _published(*(f"test_a_number_that_is_too_small_or_too_fine_is_refused[{case}]" for case in cases))


def _frozen(table: str) -> tuple[str, ...]:
    return _published(
        *(f"test_even_the_owner_cannot_change_published_numbers[{table}-{how}]" for how in ("update", "delete")),
        f"test_nothing_is_added_to_what_was_published_before[{table}]",
    )


def _api_keys(*tests: str) -> tuple[str, ...]:
    return _in("people/test_api_key_guards", *tests)


def _no_api_key(*cases: str) -> tuple[str, ...]:
    return _api_keys(*(f"test_a_key_that_cannot_be_is_refused[{case}]" for case in cases))


def _surrogates(*tests: str) -> tuple[str, ...]:
    return _in("analytics/test_surrogates", *tests)


def _no_driver(case: str) -> tuple[str, ...]:
    return _guards(f"test_a_driver_that_cannot_be_is_refused[{case}]")


def _no_offer(*cases: str) -> tuple[str, ...]:
    return _offers(*(f"test_an_offer_that_cannot_be_is_refused[{case}]" for case in cases))


def _no_log_row(*cases: str) -> tuple[str, ...]:
    return _guards(*(f"test_a_log_row_out_of_order_is_refused[{case}]" for case in cases))


def _offer_moves(*cases: str) -> tuple[str, ...]:
    return _offers(*(f"TestMoves::test_an_offer_moves_only_as_the_table_says[{case}]" for case in cases))


_MOVES = "test_a_ride_moves_only_as_the_table_says"
_KEPT = "test_even_the_owner_cannot_delete_a_booking_or_rewrite_the_log"
_TIMES = _guards("test_the_times_of_a_ride_change_only_with_its_moves")
_NO_SWAP = _guards("test_a_driver_cannot_be_swapped_or_dropped_in_passing")
_OWN_DRIVER = _guards("test_the_passenger_cannot_be_their_own_driver")
_NO_LOG_ROW = _guards("test_a_booking_without_a_log_row_is_refused", "test_a_move_without_a_log_row_is_refused")
_NO_MOVE = _guards("test_a_log_row_without_its_move_is_refused")
_OTHER_NAME = _guards("test_the_log_cannot_name_another_driver")
_BUSY_WITHOUT_RIDE = _guards("test_a_driver_cannot_be_busy_without_a_ride")
_STAYS_BUSY = _guards("test_a_released_driver_cannot_stay_busy")
_FREED = _guards("test_a_driver_cannot_be_freed_or_sent_offline_while_holding_a_ride")
_BOUND_IS_BUSY = _guards("test_whoever_is_bound_is_busy")
_SAME_USER = _guards("test_a_drivers_record_stays_with_its_user")
_OLDER = _no_position("recorded_at-location_newest_wins")
_FOLLOWS = _no_position(
    *(
        f"{column}-location_follows_driver"
        for column in ("dispatchable", "status", "verified", "vehicle_type", "stationary", "stale")
    )
)
_MOVED_POSITION = _no_position("driver_id-location_newest_wins")
_UNLISTED_MOVE = _guards("test_every_move_the_table_does_not_list_is_refused[completed]")
_BINDING = _offers(
    *(f"TestBinding::test_what_binds_changes_only_with_a_move[{column}]"
      for column in ("search_until", "no_show_from", "releases", "offer_id"))
)  # fmt: skip
_BY_OTHERS_OFFER = _offers(
    "TestBinding::test_nobody_is_bound_by_the_offer_of_another_ride",
    "TestBinding::test_nobody_is_bound_by_the_offer_of_another_driver",
)
_UNLISTED_EVENT = _no_log_row(
    "3-confirmed-completed-ride_completed-ride_event_move_allowed",
    "3-confirmed-in_progress-ride_completed-ride_event_move_allowed",
)
_ASKED_WHEN_BOUND = _offers("TestLive::test_nobody_is_asked_for_a_ride_that_is_bound")
_ENDED_WHILE_ASKED = _offers("TestLive::test_a_search_does_not_end_while_somebody_is_asked")
_ASKED_WHEN_AWAY = _offers("TestLive::test_nobody_is_asked_who_is_not_available")
_GONE_WHILE_ASKED = _offers("TestLive::test_nobody_goes_away_while_they_are_asked")
_ACCEPTED_BINDS = _offers(
    "TestBinding::test_an_accepted_offer_binds", "TestBinding::test_an_offer_is_given_back_only_with_its_ride"
)
_RIDE_GIVEN_BACK = _offers("TestBinding::test_a_ride_is_given_back_only_with_its_offer")
_INBOX_APPENDED = _inbox(*(f"test_even_the_owner_only_appends_to_an_inbox[{how}]" for how in ("update", "delete")))
_INBOX_SKIPPED = _inbox("test_a_row_out_of_order_is_refused[skipped]")
_INBOX_JUMPED = _inbox("test_the_counter_goes_by_ones[2]", "test_the_counter_goes_by_ones[-1]")
_INBOX_NOT_COUNTED = _inbox("test_a_row_that_is_not_counted_is_refused")
_INBOX_NO_ROW = _inbox("test_a_count_without_its_row_is_refused")
_INBOX_NEW = _inbox("test_a_new_driver_was_told_nothing")

_ANSWER_STAYS = _in("commands/test_guards", "test_an_answer_stays_as_it_was_given[careconnect_owner]")
_ANSWER_KEPT = _in(
    "commands/test_guards",
    *(f"test_an_answer_of_today_is_not_forgotten[careconnect_{role}]" for role in ("owner", "app")),
)
_TRIP_OF_RIDE = _trips(
    "test_a_ride_that_goes_on_has_no_trip",
    *(f"test_a_trip_begins_and_ends_with_its_ride[{column}]" for column in ("started_at", "ended_at")),
)

_AREA_STAYS = _areas(
    "test_a_ride_keeps_its_area_and_radius[search_radius_m]", "test_a_ride_keeps_its_area_and_radius[service_area_id]"
)
_ADDRESS_STAYS = _in(
    "bookings/test_addresses",
    *(f"TestKept::test_an_address_stays_while_the_ride_does_not_move[{end}]" for end in ("pickup", "dropoff")),
    *(f"TestKept::test_an_address_is_not_added_to_a_ride_that_is_over[{end}]" for end in ("pickup", "dropoff")),
)

CHECKS = {
    "mobility_api_key": {
        "api_key_digest_is_one": _no_api_key(*(f"digest-api_key_digest_is_one{n}" for n in range(3))),
        "api_key_expires_in_time": _no_api_key(*(f"expires_at-api_key_expires_in_time{n}" for n in range(2))),
        "api_key_scopes_are_known": _no_api_key(*(f"scopes-api_key_scopes_are_known{n}" for n in range(3))),
    },
    "mobility_booking": {
        "booking_bound_has_driver": _guards("test_a_confirmed_booking_without_a_driver_is_refused"),
        "booking_cancellation_is_told": _no_booking(
            "cancelled_at-booking_cancellation_is_told", "cancelled_by-booking_cancellation_is_told"
        ),
        "booking_distance_is_sane": _no_booking(
            "distance_m-booking_distance_is_sane0",
            "distance_m-booking_distance_is_sane1",
            "distance_m-booking_distance_is_sane2",
        ),
        "booking_driver_has_offer": (
            *_no_booking("driver_id-booking_driver_has_offer", "offer_id-booking_driver_has_offer"),
            *_offers("TestBinding::test_nobody_is_bound_without_an_offer"),
        ),
        "booking_dropoff_on_earth": _no_booking("dropoff-booking_dropoff_on_earth"),
        "booking_duration_is_sane": _no_booking("duration_s-booking_duration_is_sane"),
        "booking_fare_has_origin": _no_booking(
            "fare_minor-booking_fare_has_origin", "fare_origin-booking_fare_has_origin"
        ),
        "booking_fare_not_negative": _no_booking("fare_minor fare_origin-booking_fare_not_negative"),
        "booking_live_has_deadline": _no_booking(
            "due_at-booking_live_has_deadline", "status due_at-booking_live_has_deadline"
        ),
        "booking_pickup_on_earth": _no_booking(
            "pickup-booking_pickup_on_earth0",
            "pickup-booking_pickup_on_earth1",
            "pickup-booking_pickup_on_earth2",
            "pickup-booking_pickup_on_earth3",
        ),
        "booking_radius_is_sane": _areas(
            *(f"test_a_ride_with_a_radius_that_cannot_be_is_refused[{radius}]" for radius in ("0.9", "200001", "'NaN'"))
        ),
        "booking_ride_id_is_plain": _no_booking(
            "ride_id-booking_ride_id_is_plain0", "ride_id-booking_ride_id_is_plain1"
        ),
        "booking_search_has_limit": _no_booking("search_until-booking_search_has_limit"),
        "booking_status_has_its_time": _in(
            "bookings/test_kept",
            *(
                f"test_a_booking_has_the_time_of_its_status[{case}]"
                for case in (
                    "confirmed-confirmed_at",
                    "in_progress-started_at",
                    "completed-completed_at",
                    "no_show-no_show_at",
                    "unfulfilled-unfulfilled_at",
                )
            ),
        ),
        "booking_status_is_known": _in("bookings/test_kept", "test_behind_the_guard_of_bookings_stand_checks[status]"),
        "booking_waiting_has_no_driver": _guards("test_a_waiting_booking_with_a_driver_is_refused"),
        "mobility_booking_releases_check": _no_booking("releases-mobility_booking_releases_check"),
        "mobility_booking_rounds_check": _no_booking("rounds-mobility_booking_rounds_check"),
        "mobility_booking_seq_check": _in("bookings/test_kept", "test_behind_the_guard_of_bookings_stand_checks[seq]"),
    },
    "mobility_command": {
        "command_id_is_plain": _in("commands/test_guards", "test_a_command_id_is_plain[space]"),
    },
    "mobility_demand_hour": {
        "demand_cell_has_number": _no_counts("cell-demand_cell_has_number0", "cell-demand_cell_has_number1"),
        "demand_counts_are_sane": _no_counts(
            "requests unfulfilled-demand_counts_are_sane",
            "unfulfilled-demand_counts_are_sane",
            "idle_drivers-demand_counts_are_sane",
            "requests unfulfilled idle_drivers-demand_counts_are_sane",
        ),
        "demand_hour_is_whole": _no_counts("hour-demand_hour_is_whole0", "hour-demand_hour_is_whole1"),
        "demand_size_is_offered": _no_counts("size_m-demand_size_is_offered"),
    },
    "mobility_demand_made": {
        "demand_made_hour_is_whole": _demand("test_what_is_counted_is_a_whole_hour"),
    },
    "mobility_driver": {
        "driver_phone_is_e164": _no_driver("phone-driver_phone_is_e164"),
        "driver_rating_is_1_to_5": _no_driver("rating-driver_rating_is_1_to_5"),
        "driver_status_is_known": _no_driver("status-driver_status_is_known"),
        "driver_vehicle_type_is_known": _no_driver("vehicle_type-driver_vehicle_type_is_known"),
        "mobility_driver_inbox_seq_check1": _inbox("test_a_counter_is_not_negative"),
        "mobility_driver_missed_offers_check": _no_driver("missed_offers-mobility_driver_missed_offers_check"),
        "mobility_driver_total_rides_check": _no_driver("total_rides-mobility_driver_total_rides_check"),
    },
    "mobility_driver_inbox": {
        "inbox_kind_is_known": _inbox("test_an_unknown_kind_is_refused"),
        "inbox_seq_from_1": _inbox("test_a_row_out_of_order_is_refused[zero]"),
        "mobility_driver_inbox_seq_check": _inbox("test_behind_a_check_stands_the_columns_own"),
    },
    "mobility_driver_location": {
        "location_heading_in_circle": _no_position(
            "heading-location_heading_in_circle0", "heading-location_heading_in_circle1"
        ),
        "location_within_index_slack": _no_position(
            "position-location_within_index_slack",
            "indexed_position-location_within_index_slack0",
            "indexed_position-location_within_index_slack1",
        ),
        "location_not_from_the_future": _no_position("recorded_at-location_not_from_the_future"),
        "location_position_on_earth": _no_position(
            "position-location_position_on_earth0",
            "position-location_position_on_earth1",
            "position-location_position_on_earth2",
        ),
        "location_speed_is_sane": _no_position("speed-location_speed_is_sane0", "speed-location_speed_is_sane1"),
    },
    "mobility_offer": {
        "mobility_offer_round_check": _no_offer("round-mobility_offer_round_check"),
        "offer_distance_is_sane": _no_offer(
            "pickup_distance_m-offer_distance_is_sane0",
            "pickup_distance_m-offer_distance_is_sane1",
            "pickup_distance_m-offer_distance_is_sane2",
        ),
        "offer_origin_is_known": _no_offer("origin-offer_origin_is_known"),
        "offer_pending_has_deadline": (
            *_no_offer(
                "due_at-offer_pending_has_deadline",
                "expires_at-offer_pending_has_deadline",
                "settled_at-offer_pending_has_deadline",
            ),
            *_offers("test_a_settled_offer_says_when"),
        ),
        "offer_status_is_known": _offers("test_behind_the_guard_of_offers_stands_a_check"),
        "offer_withdrawal_has_reason": (
            *_no_offer("reason-offer_withdrawal_has_reason"),
            *_offers("test_a_withdrawal_says_why[none]", "test_a_withdrawal_says_why[unknown]"),
        ),
    },
    "mobility_place": {
        "place_has_a_name": _no_place(*(f"{column}-place_has_a_name" for column in ("name", "label", "folded"))),
        "place_importance_is_a_share": _no_place(*(f"importance-place_importance_is_a_share{n}" for n in range(3))),
        "place_on_earth": _no_place(*(f"position-place_on_earth{n}" for n in range(4))),
    },
    "mobility_published": {
        "published_kind_is_known": _published("test_a_period_is_a_day_or_a_month"),
        "published_month_begins_on_the_first": _published("test_a_period_is_a_day_or_a_month"),
    },
    "mobility_published_area": {
        "published_area_is_coarse": _too_fine("area-requests=5", "area-completed=5", "area-wait_median_s=75")
    },
    "mobility_published_flow": {"published_flow_is_coarse": _too_fine("flow-requests=5", "flow-requests=11")},
    "mobility_published_hour": {"published_hour_is_coarse": _too_fine("hour-requests=5", "hour-requests=12")},
    "mobility_published_supply": {
        "published_supply_is_coarse": _too_fine("supply-idle_drivers=5", "supply-idle_drivers=11")
    },
    "mobility_published_verdict": {
        "published_verdict_is_coarse": _too_fine("verdict-passed_over=5", "verdict-passed_over=14")
    },
    "mobility_service_area": {
        "service_area_has_a_name": _no_area("name-service_area_has_a_name"),
        "service_area_is_not_empty": _no_area("area-service_area_is_not_empty"),
        "service_area_is_valid": _no_area("area-service_area_is_valid0", "area-service_area_is_valid1"),
        "service_area_on_earth": _no_area("area-service_area_on_earth0", "area-service_area_on_earth1"),
        "service_area_radius_is_sane": _no_area(
            *(f"matching_radius_m-service_area_radius_is_sane{n}" for n in range(3))
        ),
    },
    "mobility_position": {
        "position_on_earth": _no_past(
            "position-position_on_earth0", "position-position_on_earth1", "position-position_on_earth2"
        ),
        "position_not_from_the_future": _no_past("recorded_at-position_not_from_the_future"),
        "position_heading_in_circle": _no_past(
            "heading-position_heading_in_circle0", "heading-position_heading_in_circle1"
        ),
        "position_speed_is_sane": _no_past("speed-position_speed_is_sane0", "speed-position_speed_is_sane1"),
        "position_accuracy_is_sane": _no_past("accuracy_m-position_accuracy_is_sane"),
        "position_door_is_known": _no_past("door-position_door_is_known"),
    },
    "mobility_ride_event": {
        "mobility_ride_event_seq_check": _no_log_row("-1--pending-ride_requested-mobility_ride_event_seq_check"),
        "ride_event_seq_from_1": _no_log_row("0--pending-ride_requested-ride_event_seq_from_1"),
    },
    "mobility_search_considered": {
        "considered_verdict_is_known": _offers("TestRounds::test_a_verdict_that_cannot_be_is_refused[verdict]"),
        "mobility_search_considered_round_check": _offers(
            "TestRounds::test_a_verdict_that_cannot_be_is_refused[round]"
        ),
    },
    "mobility_search_round": {
        "mobility_search_round_round_check": _offers("TestRounds::test_rounds_are_counted"),
        "round_outcome_is_known": _offers("TestRounds::test_what_came_of_a_round_is_one_of_four_things"),
    },
    "mobility_trip": {
        "trip_counts_not_negative": _no_trip(
            "track length_m fixes-trip_counts_not_negative",
            "jumps-trip_counts_not_negative",
            "leaps-trip_counts_not_negative",
        ),
        "trip_lengths_are_sane": _no_trip(
            *(f"length_m-trip_lengths_are_sane{n}" for n in range(3)),
            *(f"approach_m-trip_lengths_are_sane{n}" for n in range(2)),
        ),
        "trip_line_has_fixes": _no_trip(
            "fixes-trip_line_has_fixes",
            "length_m-trip_line_has_fixes",
            "track-trip_line_has_fixes",
            "track length_m-trip_line_has_fixes",
        ),
        "trip_positions_have_times": _no_trip("times-trip_positions_have_times0", "times-trip_positions_have_times1"),
        "trip_times_in_order": _trips("test_behind_the_guard_stands_a_check_of_the_order_of_times"),
        "trip_track_on_earth": _no_trip(*(f"track-trip_track_on_earth{n}" for n in range(4))),
    },
    "mobility_user": {
        "user_phone_is_e164": _guards("test_a_user_that_cannot_be_is_refused[phone-user_phone_is_e164]"),
        "user_roles_are_known": _guards("test_a_user_that_cannot_be_is_refused[roles-user_roles_are_known]"),
        "user_username_is_no_other_phone": _guards("test_a_username_cannot_pass_for_somebody_elses_phone"),
    },
}

FOREIGN_KEYS = {
    "mobility_booking": {"booking_driver_is_the_offers": _BY_OTHERS_OFFER},
    "mobility_ride_event": {"ride_event_move_allowed": _UNLISTED_EVENT},
}

PRIMARY_KEYS = {
    # What a foreign key points at has no attack of its own: without it that foreign key is gone.
    "mobility_allowed_move": {"mobility_allowed_move_pkey": _UNLISTED_EVENT},
    "mobility_command": {"mobility_command_pkey": _in("commands/test_guards", "test_a_command_is_answered_once")},
    "mobility_demand_hour": {"mobility_demand_hour_pkey": _demand("test_a_cell_is_counted_once_an_hour")},
    "mobility_demand_made": {"mobility_demand_made_pkey": _demand("test_an_hour_is_counted_once")},
    "mobility_driver_inbox": {"mobility_driver_inbox_pkey": _inbox("test_a_row_out_of_order_is_refused[again]")},
    "mobility_driver_location": {"mobility_driver_location_pkey": _guards("test_a_driver_has_one_position")},
    "mobility_driver_presence": {"mobility_driver_presence_pkey": _inbox("test_a_driver_is_present_once")},
    "mobility_geocode_answer": {"mobility_geocode_answer_pkey": _places("test_a_question_has_one_answer")},
    "mobility_geocoder_turn": {"mobility_geocoder_turn_pkey": _places("test_a_geocoder_has_one_line")},
    "mobility_knob": {"mobility_knob_pkey": _surrogates("test_a_setting_is_told_once")},
    "mobility_position": {"mobility_position_pkey": _history("test_a_position_is_kept_once")},
    "mobility_ride_event": {
        "mobility_ride_event_pkey": _no_log_row("2-pending-confirmed-driver_assigned-mobility_ride_event_pkey")
    },
    "mobility_search_considered": {
        "mobility_search_considered_pkey": _offers("TestRounds::test_a_driver_has_one_verdict_in_a_round")
    },
    "mobility_search_round": {"mobility_search_round_pkey": _offers("TestRounds::test_a_round_is_told_once")},
    "mobility_socket_ticket": {"mobility_socket_ticket_pkey": _guards("test_a_ticket_opens_one_thing")},
    "mobility_surrogate_secret": {"mobility_surrogate_secret_pkey": _surrogates("test_a_month_has_one_secret")},
    "mobility_published_hexagon": {"published_hexagon_once": _published("test_a_hexagon_has_one_shape")},
    "mobility_trip": {"mobility_trip_pkey": _trips("test_a_ride_has_one_trip")},
}

UNIQUE = {
    "mobility_api_key": {"mobility_api_key_digest_key": _api_keys("test_two_keys_are_never_the_same")},
    "mobility_driver": {
        "mobility_driver_license_number_key": _guards("test_two_drivers_never_share[license_number]"),
        "mobility_driver_phone_key": _guards("test_two_drivers_never_share[phone]"),
        "mobility_driver_user_id_key": _guards("test_a_user_is_one_driver"),
        "mobility_driver_vehicle_registration_key": _guards("test_two_drivers_never_share[vehicle_registration]"),
    },
    "mobility_location_key": {
        "mobility_location_key_digest_key": _in("locations/test_doors", "test_two_keys_are_never_the_same")
    },
    "mobility_offer": {"offer_of_ride_and_driver": _BY_OTHERS_OFFER},
    "mobility_published": {"published_once": _published("test_a_day_is_published_once")},
    "mobility_service_area": {"mobility_service_area_name_key": _areas("test_a_name_stands_once")},
    "mobility_user": {
        "mobility_user_phone_key": _guards("test_two_users_never_share[phone]"),
        "mobility_user_username_key": _guards("test_two_users_never_share[username]"),
    },
    "mobility_user_groups": {
        "mobility_user_groups_user_id_group_id_d2248d4b_uniq": _guards(
            "test_a_user_has_each_group_and_permission_once[groups]"
        )
    },
    "mobility_user_user_permissions": {
        "mobility_user_user_permi_user_id_permission_id_1a6936de_uniq": _guards(
            "test_a_user_has_each_group_and_permission_once[permissions]"
        )
    },
}

INDEXES = {
    "mobility_booking": {
        "booking_one_live_per_driver": _guards("test_a_second_live_booking_of_a_driver_is_refused"),
        "booking_one_live_per_passenger": _guards("test_a_second_live_booking_of_a_passenger_is_refused"),
        "booking_one_open_per_guest_ride_id": _guards("test_a_second_open_guest_ride_of_one_id_is_refused"),
        "booking_one_per_passenger_and_ride_id": _guards("test_a_second_booking_under_a_used_ride_id_is_refused"),
    },
    "mobility_offer": {
        "offer_one_accepted_per_ride": _offers("test_a_ride_is_accepted_once"),
        "offer_one_live_per_driver": _offers("test_a_driver_is_asked_for_one_ride_at_a_time"),
    },
    "mobility_place": {"place_once_per_source": _places("test_a_place_stands_once_in_its_source")},
}

TRIGGERS = {
    "mobility_api_key": {"api_key_guard": _api_keys("test_a_revoked_key_stays_revoked")},
    "mobility_command": {"command_guard": (*_ANSWER_STAYS, *_ANSWER_KEPT)},
    "mobility_booking": {
        "booking_address": _ADDRESS_STAYS,
        "booking_area": _AREA_STAYS,
        "booking_at_commit": (*_NO_LOG_ROW, *_STAYS_BUSY, *_OTHER_NAME, *_BOUND_IS_BUSY),
        "booking_binding": _BINDING,
        "booking_guard": (*_UNLISTED_MOVE, *_in("bookings/test_kept", f"{_KEPT}[delete-booking]")),
        "booking_offers_at_commit": (*_ENDED_WHILE_ASKED, *_RIDE_GIVEN_BACK),
        "booking_version": _counted("booking"),
    },
    "mobility_driver": {
        "driver_version": _counted("driver"),
        "driver_name_of_user": _card("test_a_new_driver_has_the_users_name"),
        "driver_name_stays_users": _card("test_nobody_writes_another_name"),
        "driver_at_commit": (*_BUSY_WITHOUT_RIDE, *_FREED),
        "driver_offers_at_commit": _GONE_WHILE_ASKED,
        "driver_to_location": _guards("test_status_changes_of_a_driver_reach_the_matching_index"),
        "driver_user_is_fixed": _SAME_USER,
        "inbox_counter": _INBOX_JUMPED,
        "inbox_counter_at_commit": _INBOX_NO_ROW,
        "inbox_counter_begins": _INBOX_NEW,
    },
    "mobility_driver_inbox": {
        "inbox_at_commit": _INBOX_NOT_COUNTED,
        "inbox_guard": (*_INBOX_APPENDED, *_INBOX_SKIPPED),
    },
    "mobility_driver_location": {
        "location_follows_driver": _FOLLOWS,
        "driver_location_version": _counted("driver_location"),
        "location_from_driver": _guards("test_a_new_position_takes_what_matching_reads_from_its_driver"),
        "location_keeps_its_driver": _MOVED_POSITION,
        "location_newest_wins": _OLDER,
    },
    "mobility_offer": {
        "offer_at_commit": (
            *_ASKED_WHEN_BOUND,
            *_ASKED_WHEN_AWAY,
            *_ACCEPTED_BINDS,
            *_in(
                "dispatch/test_offer_locks",
                "test_who_asks_and_who_ends_it_wait_for_each_other[ride]",
                "test_who_asks_and_who_ends_it_wait_for_each_other[driver]",
            ),
        ),
        "offer_guard": _offer_moves("new-declined", "expired-accepted"),
    },
    "mobility_ride_event": {
        "ride_event_at_commit": _NO_MOVE,
        "ride_event_guard": (
            *_no_log_row("4-confirmed-in_progress-ride_started-ride_event_seq_is_gapless"),
            *_in("bookings/test_kept", f"{_KEPT}[delete-log]"),
        ),
    },
    "mobility_position": {"position_version": _counted("position")},
    "mobility_published": {
        "published_guard": _published(
            "test_even_the_owner_cannot_forget_that_a_day_was_published[DELETE FROM mobility_published]",
            "test_nobody_says_when_or_by_whom_a_day_was_published",
        )
    },
    **{
        f"mobility_published_{t}": {f"published_{t}_guard": _frozen(t)}
        for t in ("area", "flow", "hour", "supply", "verdict")
    },
    "mobility_service_area": {"service_area_version": _counted("service_area")},
    "mobility_trip": {"trip_guard": _TRIP_OF_RIDE},
    "mobility_user": {
        "user_name_to_driver": _card("test_the_name_follows_the_user"),
        "user_version": _counted("user"),
    },
}

# In the order of the function; the second rule of one name is called NAME:2.
RULES = {
    "mobility_api_key_guard": {"api_key_stays_revoked": _api_keys("test_a_revoked_key_stays_revoked")},
    "mobility_command_guard": {"command_is_answered_once": _ANSWER_STAYS, "command_is_remembered": _ANSWER_KEPT},
    "mobility_booking_at_commit": {
        "booking_move_is_logged": _NO_LOG_ROW,
        "booking_move_is_logged:2": _OTHER_NAME,
        "driver_busy_while_bound": _BOUND_IS_BUSY,
    },
    "mobility_booking_address": {"booking_address_is_kept": _ADDRESS_STAYS},
    "mobility_booking_area": {"booking_area_is_kept": _AREA_STAYS},
    "mobility_booking_binding": {"booking_move_is_logged": _BINDING},
    "mobility_booking_guard": {
        "booking_is_kept": _in("bookings/test_kept", f"{_KEPT}[delete-booking]"),
        "booking_move_allowed": (
            *_no_booking(
                "status-booking_move_allowed0",
                "status-booking_move_allowed1",
                "status-booking_move_allowed2",
                "seq-booking_move_allowed",
            ),
            *_in("bookings/test_moves", "test_a_ride_begins_only_as_the_table_says[confirmed]"),
        ),
        "booking_identity_is_fixed": (
            *_guards(*(f"test_a_ride_keeps_its_identity[{column}]" for column in ("id", "ride_id", "passenger_id"))),
            *_guards("test_a_finished_booking_keeps_its_ride_id"),
        ),
        "booking_terminal_is_final": (
            *_guards(
                "test_a_finished_booking_stays_as_it_is[fare_minor = 1]",
                "test_a_finished_booking_stays_as_it_is[confirmed_at = NULL]",
            ),
            *_in("bookings/test_moves", f"{_MOVES}[completed-pending]", f"{_MOVES}[cancelled-pending]"),
            *_in("bookings/test_moves", f"{_MOVES}[no_show-confirmed]"),
        ),
        "booking_move_allowed:2": (
            *_UNLISTED_MOVE,
            *_in("bookings/test_moves", f"{_MOVES}[pending-in_progress]", f"{_MOVES}[scheduled-confirmed]"),
            *_in("bookings/test_moves", f"{_MOVES}[in_progress-pending]", f"{_MOVES}[unfulfilled-confirmed]"),
        ),
        "booking_seq_is_gapless": _guards("test_seq_of_a_booking_cannot_jump_or_go_back"),
        "booking_move_is_logged": _guards(
            "test_what_a_move_sets_changes_only_with_it[arrived_at]",
            "test_what_a_move_sets_changes_only_with_it[fare_minor]",
        ),
        "booking_driver_by_assignment": _NO_SWAP,
        "booking_move_is_logged:2": _TIMES,
        "booking_not_own_driver": _OWN_DRIVER,
    },
    "mobility_driver_busy_is_bound": {"driver_busy_while_bound": (*_BUSY_WITHOUT_RIDE, *_FREED, *_STAYS_BUSY)},
    "mobility_driver_offers_at_commit": {"offer_only_to_free_driver": _GONE_WHILE_ASKED},
    "mobility_driver_user_is_fixed": {"driver_user_is_fixed": _SAME_USER},
    "mobility_inbox_at_commit": {"inbox_is_counted": (*_INBOX_NOT_COUNTED, *_INBOX_NO_ROW, *_INBOX_NEW)},
    "mobility_inbox_counter": {"inbox_seq_is_gapless": _INBOX_JUMPED},
    "mobility_inbox_guard": {"inbox_append_only": _INBOX_APPENDED, "inbox_seq_is_gapless": _INBOX_SKIPPED},
    "mobility_end_long_statements": {
        "statements_have_a_second": _in(
            "analytics/test_long_statements",
            *(f"test_a_statement_has_a_second_at_least[{longest}]" for longest in ("0", "-1", "0.9", "NULL")),
        )
    },
    "mobility_keep_surrogate_secrets": {
        "surrogate_months_are_sane": _surrogates(
            *(f"test_the_secret_of_this_month_is_never_thrown_away[{keep}]" for keep in (0, -1, 1201))
        )
    },
    "mobility_location_follows_driver": {"location_follows_driver": _FOLLOWS},
    "mobility_location_order": {"location_newest_wins": (*_OLDER, *_MOVED_POSITION)},
    "mobility_offer_guard": {
        "offer_move_allowed": _offer_moves("new-declined", "new-expired", "new-withdrawn", "new-released"),
        "offer_not_asked_again": _offers(
            *(
                f"TestAgain::test_whoever_said_no_is_not_asked_again[{how}-{status}]"
                for how in ("asked", "auto_accept", "auto_assign")
                for status in ("declined", "expired", "released")
            )
        ),
        "offer_not_own_ride": (
            *_offers("test_nobody_is_asked_to_drive_themselves[pending]"),
            *_offers("test_nobody_is_asked_to_drive_themselves[accepted]"),
            *_OWN_DRIVER,
        ),
        "offer_identity_is_fixed": _offers(
            *(
                f"TestMoves::test_an_offer_keeps_its_identity[{status}-{column}]"
                for status in ("pending", "accepted")
                for column in ("id", "booking_id", "driver_id", "round", "origin", "offered_at")
            )
        ),
        "offer_move_allowed:2": _offer_moves(
            "pending-released", "accepted-pending", "declined-accepted", "expired-accepted", "withdrawn-pending",
            "released-accepted",
        ),
        "offer_settled_is_final": _offers(
            *(
                f"TestMoves::test_a_settled_offer_stays_as_it_is[{status}]"
                for status in ("accepted", "declined", "expired", "released", "withdrawn")
            )
        ),
        "offer_not_after_expiry": _offers(
            "TestExpiry::test_an_expired_offer_is_not_accepted",
            "TestExpiry::test_nor_after_its_end_was_put_off_in_the_same_breath",
            "TestExpiry::test_to_the_microsecond[after]",
            "TestExpiry::test_to_the_microsecond[at]",
        ),
    },
    "mobility_offers_fit": {
        "offer_live_only_while_searching": (*_ASKED_WHEN_BOUND, *_ENDED_WHILE_ASKED),
        "offer_accepted_is_bound": (*_ACCEPTED_BINDS, *_RIDE_GIVEN_BACK),
        "offer_only_to_free_driver": _ASKED_WHEN_AWAY,
    },
    "mobility_drop_position_days": {"position_last_days_stay": _history("test_the_last_days_are_never_dropped")},
    "mobility_make_position_days": {"position_days_are_few": _history("test_nobody_makes_days_without_end")},
    "mobility_ride_event_at_commit": {"booking_move_is_logged": _NO_MOVE},
    "mobility_ride_event_guard": {
        "ride_event_append_only": _in(
            "bookings/test_kept", f"{_KEPT}[delete-log]", f"{_KEPT}[renumber-log]", f"{_KEPT}[rewrite-log]"
        ),
        "ride_event_seq_is_gapless": _no_log_row("4-confirmed-in_progress-ride_started-ride_event_seq_is_gapless"),
        "ride_event_follows_previous": _no_log_row("3-pending-confirmed-driver_assigned-ride_event_follows_previous"),
    },
    "mobility_published_guard": {
        "published_once_and_for_all": _published(
            "test_even_the_owner_cannot_forget_that_a_day_was_published[DELETE FROM mobility_published]"
        ),
        "published_in_one_zone": _published("test_days_are_published_in_one_zone"),
    },
    "mobility_published_numbers_guard": {
        "published_at_once": _published("test_nothing_is_added_to_what_was_published_before[hour]"),
        "published_is_frozen": _published("test_even_the_owner_cannot_change_published_numbers[hour-update]"),
    },
    "mobility_trip_guard": {"trip_is_of_a_driven_ride": _TRIP_OF_RIDE},
}  # fmt: skip

# What the application's role may not do.
NO_GRANT = {
    "mobility_allowed_move": ("INSERT", "UPDATE", "DELETE"),
    "mobility_api_key": ("UPDATE", "DELETE"),
    "mobility_booking": ("DELETE",),
    "mobility_command": ("UPDATE",),
    "mobility_driver": ("DELETE",),
    "mobility_driver_inbox": ("UPDATE", "DELETE"),
    "mobility_driver_location": ("DELETE",),
    "mobility_driver_presence": ("DELETE",),
    "mobility_offer": ("DELETE",),
    "mobility_position": ("UPDATE", "DELETE"),
    "mobility_published": ("UPDATE", "DELETE"),
    "mobility_published_area": ("UPDATE",),
    "mobility_published_flow": ("UPDATE",),
    "mobility_published_hexagon": ("UPDATE", "DELETE"),
    "mobility_published_hour": ("UPDATE",),
    "mobility_published_ride": ("UPDATE",),
    "mobility_published_supply": ("UPDATE",),
    "mobility_published_verdict": ("UPDATE",),
    "mobility_ride_event": ("UPDATE", "DELETE"),
    "mobility_search_considered": ("UPDATE",),
    "mobility_search_round": ("UPDATE",),
    "mobility_surrogate_secret": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "mobility_trip": ("DELETE",),
}
_GRANTS = {
    table: {
        privilege: _in("bookings/test_roles", f"test_what_is_not_granted_is_refused[{table}-{privilege}]")
        + _in("permissions/test_database", "test_the_table_says_what_the_catalog_says[table]")
        for privilege in privileges
    }
    for table, privileges in NO_GRANT.items()
}

_KINDS = {
    "check": CHECKS,
    "foreign-key": FOREIGN_KEYS,
    "primary-key": PRIMARY_KEYS,
    "unique": UNIQUE,
    "index": INDEXES,
    "trigger": TRIGGERS,
    "rule": RULES,
    "grant": _GRANTS,
}
WALLS: dict[str, Wall] = {
    wall.key: wall
    for kind, places in _KINDS.items()
    for place, names in places.items()
    for name, tests in names.items()
    for wall in [Wall(kind, place, name, tests)]
}
# Walls on which another one rests: it goes with them.
RESTS_ON = {
    "primary-key:mobility_allowed_move_pkey": "foreign-key:ride_event_move_allowed",
    "unique:offer_of_ride_and_driver": "foreign-key:booking_driver_is_the_offers",
}

# ------------------------------------------------------------------------------------------ the walls of a database

_RAISE = re.compile(r"RAISE EXCEPTION (?:(?!RAISE EXCEPTION).)*?CONSTRAINT = '(\w+)';", re.DOTALL)
_CATALOG = f"""
SELECT CASE contype WHEN 'c' THEN 'check' WHEN 'f' THEN 'foreign-key' WHEN 'p' THEN 'primary-key' ELSE 'unique' END
    || ':' || conname
FROM pg_constraint
WHERE conrelid::regclass::text LIKE 'mobility\\_%' AND contype <> 't'
    -- What a partition has, it has from its table.
    AND NOT EXISTS (SELECT FROM pg_class WHERE oid = conrelid AND relispartition)
    AND NOT (contype = 'f' AND conname LIKE '%\\_fk\\_%')
    AND NOT (contype = 'p' AND pg_get_constraintdef(oid) = 'PRIMARY KEY (id)')
UNION ALL
SELECT 'index:' || indexrelid::regclass FROM pg_index
WHERE indisunique AND indrelid::regclass::text LIKE 'mobility\\_%'
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND conrelid = indrelid)
UNION ALL
SELECT 'trigger:' || tgname FROM pg_trigger
WHERE NOT tgisinternal AND tgrelid::regclass::text LIKE 'mobility\\_%'
UNION ALL
SELECT 'grant:' || relname || ':' || privilege FROM pg_class, unnest(ARRAY{list(PRIVILEGES)}) privilege
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relname LIKE 'mobility\\_%'
    AND NOT relispartition
    AND NOT has_table_privilege('{APPLICATION}', pg_class.oid, privilege)
"""
_FUNCTIONS = """
SELECT proname, prosrc FROM pg_proc
WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'mobility\\_%' ORDER BY proname
"""


def rules(source: str) -> list[str]:
    """The names of the rules in a function's text, in their order."""
    seen: Counter[str] = Counter()
    names = []
    for rule in _RAISE.finditer(source):
        seen[name := rule.group(1)] += 1
        names.append(name if seen[name] == 1 else f"{name}:{seen[name]}")
    return names


def standing(cursor: Any) -> set[str]:
    """The walls that a database has, by key. The cursor is Django's or psycopg's."""
    cursor.execute(_CATALOG)
    keys = {key for (key,) in cursor.fetchall()}
    cursor.execute(_FUNCTIONS)
    return keys | {f"rule:{function}:{rule}" for function, source in cursor.fetchall() for rule in rules(source)}


def removal(wall: Wall, cursor: Any) -> str:
    """The SQL that takes a wall away, and nothing else (but what RESTS_ON names). The cursor is a superuser's."""
    if wall.kind == "trigger":
        return f"DROP TRIGGER {wall.name} ON {wall.place}"
    if wall.kind == "index":
        return f"DROP INDEX {wall.name}"
    if wall.kind == "grant":
        return f"GRANT {wall.name} ON {wall.place} TO {APPLICATION}"
    if wall.kind == "rule":
        cursor.execute("SELECT pg_get_functiondef(%s::regproc)", [wall.place])
        return _without_rule(cursor.fetchone()[0], wall.name)
    return f"ALTER TABLE {wall.place} DROP CONSTRAINT {wall.name}" + (" CASCADE" if wall.key in RESTS_ON else "")


def _without_rule(function: str, rule: str) -> str:
    """The function, letting through what one of its RAISE statements refuses."""
    name, _, number = rule.partition(":")
    statements = [found for found in _RAISE.finditer(function) if found.group(1) == name]
    statement = statements[int(number or 1) - 1]
    # A function that does nothing but refuse would end without an answer.
    instead = "NULL;" if re.search(r"\bRETURN\b", function) or "RETURNS void" in function else "RETURN NEW;"
    return function[: statement.start()] + instead + function[statement.end() :]


def remove(key: str, url: str) -> None:
    """Take a wall of a database away. `url` is a superuser's."""
    import psycopg

    with psycopg.connect(url) as admin, admin.cursor() as cursor:
        cursor.execute(removal(WALLS[key], cursor))
