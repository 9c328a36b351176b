"""Spatial query parameters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.params import MAX_RADIUS_M, Circle, ParameterError, bbox, choices, circle, flag, limit

odd_text = st.one_of(
    st.text(max_size=30),
    st.lists(st.one_of(st.floats().map(repr), st.integers().map(str), st.just("")), max_size=6).map(",".join),
)


def test_what_is_absent_is_none():
    assert bbox({}) is None
    assert circle({}) is None
    assert choices({}, "status", ["a"]) == []
    assert limit({}, default=7, highest=9) == 7


def test_a_box_is_west_south_east_north():
    assert bbox({"bbox": "27,-27,29,-25"}) == (27, -27, 29, -25)


def test_a_circle_is_latitude_longitude_and_metres():
    assert circle({"near": "-26.2,28", "radius_m": "500"}) == Circle((-26.2, 28.0), 500.0)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"near": "1,2"}, "radius_m"),
        ({"radius_m": "5"}, "near"),
        ({"near": "1", "radius_m": "5"}, "near"),
        ({"near": "1,2,3", "radius_m": "5"}, "near"),
        ({"near": "91,0", "radius_m": "5"}, "near"),
        ({"near": "0,181", "radius_m": "5"}, "near"),
        ({"near": "nan,0", "radius_m": "5"}, "near"),
        ({"near": "1,2", "radius_m": "x"}, "radius_m"),
        ({"near": "1,2", "radius_m": "0"}, "radius_m"),
        ({"near": "1,2", "radius_m": "-1"}, "radius_m"),
        ({"near": "1,2", "radius_m": "nan"}, "radius_m"),
        ({"near": "1,2", "radius_m": "inf"}, "radius_m"),
        ({"near": "1,2", "radius_m": "1e400"}, "radius_m"),
        ({"near": "1,2", "radius_m": str(MAX_RADIUS_M + 1)}, "radius_m"),
    ],
)
def test_half_or_impossible_circles_are_refused_by_name(query, named):
    with pytest.raises(ParameterError) as refused:
        circle(query)
    assert refused.value.parameter == named


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "x", "1e3", "٣", " 1", "9" * 100])
def test_a_limit_is_a_whole_number_from_one(text):
    with pytest.raises(ParameterError, match="limit"):
        limit({"limit": text}, default=1, highest=10)


def test_a_limit_beyond_the_highest_is_the_highest():
    assert limit({"limit": "99999"}, default=1, highest=10) == 10


@pytest.mark.parametrize("text", ["", "x", "a,", "a,,b", "A"])
def test_an_unknown_choice_is_refused(text):
    with pytest.raises(ParameterError, match="one of a, b"):
        choices({"status": text}, "status", ["a", "b"])


def test_a_flag_is_true_false_or_absent():
    assert [flag(query, "on") for query in ({"on": "true"}, {"on": "false"}, {})] == [True, False, None]


@pytest.mark.parametrize("text", ["", "1", "True", "yes", " true", "true,false"])
def test_another_word_for_a_flag_is_refused_by_name(text):
    with pytest.raises(ParameterError, match="true or false") as refused:
        flag({"on": text}, "on")
    assert refused.value.parameter == "on"


@given(odd_text, odd_text, odd_text)
def test_whatever_is_sent_is_understood_or_refused(box, near, radius_m):
    for read, query in ((bbox, {"bbox": box}), (circle, {"near": near, "radius_m": radius_m})):
        try:
            read(query)
        except ParameterError as refused:
            assert refused.parameter in query
