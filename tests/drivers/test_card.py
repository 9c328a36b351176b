"""The name and properties beside a driver are those of the user and of the driver's own row, whatever is written."""

import json

import pytest
from django.db import connection

pytestmark = pytest.mark.django_db
HOSTILE = 'Zo\\"e \n\t</script> ☃'


def cards(driver_id):
    with connection.cursor() as cursor:
        cursor.execute("SELECT shown_name, personal_card, card FROM mobility_driver WHERE id = %s", [driver_id])
        name, personal, card = cursor.fetchone()
    return name, json.loads("{" + personal + "}"), json.loads("{" + card + "}")


def run(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


@pytest.fixture
def driver(make_driver, make_user):
    return make_driver(
        0, 0, user=make_user(username="someone", first_name=HOSTILE, last_name="X", roles=["driver"]),
        phone="+27821234567", vehicle_registration='CA "1', rating="4.30", total_rides=7,
    )  # fmt: skip


def test_a_new_driver_has_the_users_name(driver):
    name, personal, card = cards(driver.pk)
    assert name == driver.user.display_name == personal["name"]
    assert personal == {"name": f"{HOSTILE} X", "phone": "+27*******67", "vehicle_registration": 'CA "1'}
    assert card == {"vehicle_type": "sedan", "rating": 4.3, "total_rides": 7, "verified": True, "stationary": False}


def test_the_name_follows_the_user(driver):
    for column in ("first_name", "last_name"):
        run(f"UPDATE mobility_user SET {column} = '' WHERE id = %s", driver.user_id)
        driver.user.refresh_from_db()
        assert cards(driver.pk)[0] == driver.user.display_name
    run("UPDATE mobility_user SET username = 'nobody' WHERE id = %s", driver.user_id)
    assert cards(driver.pk)[0] == "nobody"
    run("UPDATE mobility_user SET phone = '+27820000001', username = '+27820000001' WHERE id = %s", driver.user_id)
    assert cards(driver.pk)[0] == f"user {driver.user_id}"


def test_nobody_writes_another_name(driver):
    run("UPDATE mobility_driver SET shown_name = 'Mallory' WHERE id = %s", driver.pk)
    assert cards(driver.pk)[0] == driver.user.display_name


def test_the_card_follows_the_driver(driver):
    run("UPDATE mobility_driver SET verified = false, stationary = true, total_rides = 8 WHERE id = %s", driver.pk)
    card = cards(driver.pk)[2]
    assert (card["verified"], card["stationary"], card["total_rides"]) == (False, True, 8)
