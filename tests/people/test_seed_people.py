"""The accounts of the demonstration."""

import io

import pytest
from django.core.management import CommandError, call_command

from mobility.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_hashes")]


def seed(**options):
    out = io.StringIO()
    call_command("seed_people", stdout=out, **options)
    return out.getvalue()


def test_an_operator_and_a_passenger_are_made():
    assert seed().count("created") == 2
    operator, passenger = User.objects.order_by("phone")
    assert (operator.username, operator.phone, operator.roles) == ("operator", "+27123456700", ["operator"])
    assert operator.is_superuser
    assert operator.is_staff
    assert (passenger.username, passenger.phone, passenger.roles) == ("passenger1", "+27123456701", ["passenger"])
    assert not passenger.is_staff
    assert operator.check_password("password123")
    assert passenger.check_password("password123")


def test_a_second_run_changes_nothing():
    seed()
    before = list(User.objects.order_by("pk").values())
    assert "created" not in seed()
    assert list(User.objects.order_by("pk").values()) == before


def test_outside_the_demo_it_is_refused_unless_forced(settings):
    settings.DEMO = False
    with pytest.raises(CommandError, match="--force"):
        seed()
    assert not User.objects.exists()
    said = seed(force=True)
    password = said.rsplit(": ", 1)[1].strip()
    assert password != "password123"
    assert User.objects.get(username="operator").check_password(password)
