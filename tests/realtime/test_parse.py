"""The door itself: no input makes it raise anything but its own refusal."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobility.realtime.protocol import DRIVER_TYPES, FindDriver, Misunderstood, Ping, parse_driver, parse_passenger
from tests.server import EXAMPLE

anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


@given(st.text())
def test_any_text_is_a_command_or_a_refusal(text):
    with pytest.raises(Misunderstood):
        parse_passenger(text)


@given(st.sampled_from(sorted(EXAMPLE)), anything)
def test_any_value_in_any_field_is_a_command_or_a_refusal(field, value):
    try:
        command = parse_passenger(json.dumps(EXAMPLE | {field: value}))
    except Misunderstood as refusal:
        assert refusal.http_status == 400
    else:
        assert isinstance(command, FindDriver | Ping) or command.type == "cancel_ride"


@given(st.floats())
def test_only_degrees_on_earth_pass(value):
    text = json.dumps(EXAMPLE | {"dropoff_latitude": value})
    if -90 <= value <= 90:
        assert parse_passenger(text).dropoff_latitude == value
    else:
        with pytest.raises(Misunderstood):
            parse_passenger(text)


def test_whole_numbers_are_numbers():
    assert parse_passenger(json.dumps(EXAMPLE | {"pickup_latitude": -26})).pickup_latitude == -26.0


def test_money_keeps_its_cents():
    assert str(parse_passenger(json.dumps(EXAMPLE | {"fare_amount": 85.1})).request().fare_amount) == "85.10"


FIELDS = [
    "ride_id", "booking_id", "reason", "auto_accept", "latitude", "longitude", "heading", "speed", "accuracy_m",
    "recorded_at", "updates", "last_inbox_seq",
]  # fmt: skip


@given(st.text())
def test_any_text_from_a_driver_is_a_command_or_a_refusal(text):
    with pytest.raises(Misunderstood):
        parse_driver(text)


@given(st.sampled_from(DRIVER_TYPES), st.dictionaries(st.sampled_from(FIELDS), anything))
def test_any_fields_from_a_driver_are_a_command_or_a_refusal(kind, fields):
    try:
        command = parse_driver(json.dumps(fields | {"type": kind}))
    except Misunderstood as refusal:
        assert refusal.http_status == 400
    else:
        assert command.type == kind


@given(st.floats(), st.floats())
def test_a_driver_is_somewhere_on_earth(latitude, longitude):
    text = json.dumps({"type": "location_update", "latitude": latitude, "longitude": longitude})
    if -90 <= latitude <= 90 and -180 <= longitude <= 180:
        try:
            told = parse_driver(text).fixes(7)[0]
            assert (told.driver_id, told.latitude, told.longitude) == (7, latitude, longitude)
        except Misunderstood as refusal:
            assert refusal.code == "coordinates_swapped"
    else:
        with pytest.raises(Misunderstood):
            parse_driver(text)
