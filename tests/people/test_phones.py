"""Phone numbers in and out."""

import pytest

from mobility.people.phones import masked_phone, normalised_phone, without_phone


@pytest.mark.parametrize("typed", ["+27821234567", " +27 82 123-4567 ", "0027821234567", "+27 (82) 123.4567"])
def test_one_number_however_it_is_typed(typed):
    assert normalised_phone(typed) == "+27821234567"


@pytest.mark.parametrize(
    "typed",
    ["", "0821234567", "+0821234567", "+271234", "+2712345678901234", "abc", "+27821234567\n0", "+٢٧٨٢١٢٣٤٥٦٧"],
)
def test_what_is_no_international_number(typed):
    assert normalised_phone(typed) is None


def test_a_masked_phone_keeps_its_beginning_and_its_end():
    assert masked_phone("+27123456789") == "+27*******89"
    assert masked_phone("123") == "***"
    assert masked_phone("") == ""


@pytest.mark.parametrize(
    ("name", "shown"),
    [("Sarah", "Sarah"), ("+27 82 123 4567", "+27**********67"), ("Car 27821234567", "Car 27821234567")],
)
def test_a_name_that_is_a_phone_is_masked(name, shown):
    assert without_phone(name) == shown
