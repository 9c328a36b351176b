"""The demonstration: the example can be run again and again, and nothing of it exists in production."""

import os
import subprocess

import pytest
from django.core.management import CommandError, call_command

from mobility.bookings.models import Booking
from mobility.dispatch.demo import drive_demo
from mobility.models import Driver, RideEvent
from tests import forks
from tests.realtime.sync import in_thread
from tests.server import EXAMPLE, serving

pytestmark = pytest.mark.usefixtures("committed_db")


async def test_the_example_three_times_in_a_row_without_a_hand(tmp_path):
    await in_thread(call_command, "seed_drivers", verbosity=0)
    with serving(tmp_path, CARECONNECT_DEMO_COMPLETE_AFTER_S="0.2") as demo:
        for _ in range(3):
            async with demo.ride("12345") as client:
                await client.send(EXAMPLE)
                assigned = await client.until("driver_assigned")
                assert assigned["driver"]["name"] == "John Doe"
                for kind in ("driver_arrived", "ride_started", "ride_completed"):
                    assert (await client.receive())["type"] == kind
    assert await in_thread(Booking.objects.filter(status="completed").count) == 3
    john = await in_thread(Driver.objects.get, user__username="driver1")
    assert (john.status, john.total_rides) == ("available", 3)


def test_only_rides_of_seed_drivers_complete_themselves(make_driver, make_user, ride_request, settings):
    from dataclasses import replace

    from mobility.dispatch.services import find_driver

    make_driver(-26.2041, 28.0473)
    find_driver(make_user().pk, "r", ride_request())
    settings.MOBILITY = replace(settings.MOBILITY, demo_complete_after_s=0.0)
    assert drive_demo() == 0
    Driver.objects.update(is_demo=True)
    settings.DEMO = False
    assert drive_demo() == 0
    settings.DEMO = True
    assert drive_demo() == 1
    assert RideEvent.objects.count() == 5
    assert drive_demo() == 0


def test_an_hour_after_seeding_the_drivers_are_still_matched(admin_url):
    import psycopg

    from geo.coordinates import lat_lon
    from mobility.dispatch.queries import nearest_available

    call_command("seed_drivers", verbosity=0)
    with psycopg.connect(admin_url) as admin:
        admin.execute("SET session_replication_role = replica")
        admin.execute(
            "UPDATE mobility_driver_location SET recorded_at = recorded_at - interval '1 hour',"
            " received_at = received_at - interval '1 hour'"
        )
    assert len(nearest_available(lat_lon(-26.2041, 28.0473), radius_m=60_000)) == 3


def test_seeding_twice_restores_and_never_touches_a_driver_with_a_ride(capsys, ride_request):
    from mobility.dispatch.services import find_driver

    call_command("seed_drivers")
    booked = find_driver(None, "12345", ride_request())
    Driver.objects.filter(user__username="driver2").update(status="offline", rating=1)
    call_command("seed_drivers")
    said = capsys.readouterr().out
    assert "driver1 John Doe: has a live booking; left untouched" in said
    assert Driver.objects.get(pk=booked.driver_id).status == "busy"
    jane = Driver.objects.get(user__username="driver2")
    assert (jane.status, str(jane.rating)) == ("available", "4.9")
    assert Driver.objects.count() == 3


def test_seeding_is_refused_outside_the_demo_unless_forced(settings, capsys):
    settings.DEMO = False
    with pytest.raises(CommandError):
        call_command("seed_drivers")
    assert Driver.objects.count() == 0
    call_command("seed_drivers", force=True)
    assert Driver.objects.count() == 3
    user = Driver.objects.get(user__username="driver1").user
    assert not user.check_password("password123")
    password = capsys.readouterr().out.rsplit(": ", 1)[1].strip()
    assert user.check_password(password)


def settings_say(**environment: str) -> "subprocess.CompletedProcess[str]":
    """Load the settings in a process of their own."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CARECONNECT", "DJANGO_SECRET"))} | environment
    return forks.manage(env, "check")


GOOD_KEY = "a1b2c3d4e5" * 6


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, "DJANGO_SECRET_KEY"),
        ({"DJANGO_SECRET_KEY": "short"}, "DJANGO_SECRET_KEY"),
        ({"DJANGO_SECRET_KEY": "x" * 60}, "DJANGO_SECRET_KEY"),
        ({"DJANGO_SECRET_KEY": "django-insecure-" + GOOD_KEY}, "DJANGO_SECRET_KEY"),
        ({"DJANGO_SECRET_KEY": GOOD_KEY, "CARECONNECT_ENV": "staging"}, "CARECONNECT_ENV"),
        ({"DJANGO_SECRET_KEY": GOOD_KEY, "CARECONNECT_GUEST_RIDES": "yes"}, "CARECONNECT_GUEST_RIDES"),
        ({"DJANGO_SECRET_KEY": GOOD_KEY, "CARECONNECT_SERACH_RADIUS_M": "1"}, "CARECONNECT_SERACH_RADIUS_M"),
        ({"DJANGO_SECRET_KEY": GOOD_KEY, "CARECONNECT_SEARCH_RADIUS_M": "far"}, "CARECONNECT_SEARCH_RADIUS_M"),
        ({"DJANGO_SECRET_KEY": GOOD_KEY, "CARECONNECT_SEARCH_RADIUS_M": "nan"}, "CARECONNECT_SEARCH_RADIUS_M"),
        ({"DJANGO_SECRET_KEY": GOOD_KEY, "CARECONNECT_SEARCH_RADIUS_M": "-1"}, "CARECONNECT_SEARCH_RADIUS_M"),
        ({"DJANGO_SECRET_KEY": GOOD_KEY, "DATABASE_URL": ""}, "DATABASE_URL"),
        ({"DJANGO_SECRET_KEY": GOOD_KEY, "WEB_CONCURRENCY": "2"}, "REDIS_URL"),
    ],
)
def test_a_wrong_configuration_does_not_start_and_says_why(environment, says):
    ended = settings_say(**environment)
    assert ended.returncode != 0
    assert says in ended.stdout
    assert "Traceback" not in ended.stdout


async def test_production_takes_no_guests_and_assigns_nobody_by_itself(tmp_path):
    import websockets

    production = {"CARECONNECT_ENV": "production", "DJANGO_SECRET_KEY": GOOD_KEY, "ALLOWED_HOSTS": "127.0.0.1"}
    with serving(tmp_path, **production) as running:
        async with websockets.connect(f"{running.ws}/ws/ride/1/") as connection:
            assert '"unauthenticated"' in await connection.recv()
        assert '"environment": "production"' in running.output
