"""What the tables of places refuse, from psql as well."""

import pytest

from tests.bookings.test_guards import named, refused

pytestmark = pytest.mark.django_db
COLUMNS = {
    "name": "'Here'", "kind": "''", "label": "'Here'", "folded": "'here'", "importance": "0.5", "source": "'s'",
    "source_id": "'1'", "position": "ST_SetSRID(ST_MakePoint(28, -26), 4326)",
}  # fmt: skip


def insert_place(**changes: str) -> str:
    columns = COLUMNS | changes
    return f"INSERT INTO mobility_place ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"position": "ST_SetSRID(ST_MakePoint(181, 0), 4326)"}, "place_on_earth"),
        ({"position": "ST_SetSRID(ST_MakePoint(0, -91), 4326)"}, "place_on_earth"),
        ({"position": "ST_SetSRID(ST_MakePoint('NaN', 0), 4326)"}, "place_on_earth"),
        ({"position": "'SRID=4326;POINT EMPTY'"}, "place_on_earth"),
        ({"importance": "-0.1"}, "place_importance_is_a_share"),
        ({"importance": "'NaN'"}, "place_importance_is_a_share"),
        ({"importance": "1.1"}, "place_importance_is_a_share"),
        ({"name": "''"}, "place_has_a_name"),
        ({"label": "''"}, "place_has_a_name"),
        ({"folded": "''"}, "place_has_a_name"),
    ],
    ids=named,
)
def test_a_place_that_cannot_be_is_refused(changes, constraint):
    assert refused(insert_place(**changes)) == constraint


def test_a_place_stands_once_in_its_source():
    assert refused(insert_place(), insert_place()) == "place_once_per_source"


def test_a_question_has_one_answer():
    answer = "INSERT INTO mobility_geocode_answer (key, answer) VALUES ('k', '[]')"
    assert refused(answer, answer) == "mobility_geocode_answer_pkey"


def test_a_geocoder_has_one_line():
    turn = "INSERT INTO mobility_geocoder_turn (geocoder, next_at) VALUES ('g', now())"
    assert refused(turn, turn) == "mobility_geocoder_turn_pkey"
