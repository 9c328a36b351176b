"""An entity tag is the same only while nobody has committed a change, whatever transactions do meanwhile."""

import threading

import psycopg
import pytest
from django.db import connection, transaction

from mobility.areas.layers import AREAS
from mobility.bookings.layers import BOOKINGS
from mobility.layers.versions import etag
from mobility.locations.layers import DRIVERS, HISTORY
from mobility.models import Booking, Driver, DriverLocation, ServiceArea, User
from tests.rest import token_of

JOHANNESBURG = (-26.2041, 28.0473)
NOW = "SELECT mobility_data_version(ARRAY['user','driver','driver_location'])"


def version():
    with connection.cursor() as cursor:
        cursor.execute(NOW)
        return cursor.fetchone()[0]


@pytest.fixture
def elsewhere(committed_db):
    """Another connection, with the application's own role."""
    parameters = connection.get_connection_params()
    names = {"host", "port", "user", "password", "dbname"}
    with psycopg.connect(**{k: v for k, v in parameters.items() if k in names}) as other:
        yield other


class TestWhileTransactionsAreUnderWay:
    def test_a_change_that_was_counted_but_not_committed_does_not_hide_behind_the_count(self, elsewhere, make_driver):
        driver = make_driver(*JOHANNESBURG)
        before = version()
        elsewhere.execute("UPDATE mobility_driver SET rating = 4 WHERE id = %s", [driver.pk])
        during = version()  # an answer read now has the old rating
        elsewhere.commit()
        after = version()
        assert len({before, during, after}) == 3
        assert version() == after

    def test_of_two_writers_the_slower_one_is_not_forgotten(self, elsewhere, make_driver):
        first, second = make_driver(*JOHANNESBURG), make_driver(*JOHANNESBURG)
        elsewhere.execute("UPDATE mobility_driver SET rating = 4 WHERE id = %s", [first.pk])
        Driver.objects.filter(pk=second.pk).update(rating=3)
        during = version()
        elsewhere.commit()
        assert version() != during

    def test_who_begins_after_the_counts_were_read_changes_them(self, elsewhere, make_driver):
        driver = make_driver(*JOHANNESBURG)
        elsewhere.execute("SELECT 1")  # a transaction, but no change yet
        during = version()
        elsewhere.execute("UPDATE mobility_driver SET rating = 4 WHERE id = %s", [driver.pk])
        elsewhere.commit()
        assert version() != during

    def test_never_the_same_for_two_states_however_writers_and_readers_meet(self, elsewhere, make_driver):
        """Readers read the version and then the data, as answers are made, while writers commit: equal versions must
        mean equal data."""
        driver = make_driver(*JOHANNESBURG)
        parameters = elsewhere.info.dsn, elsewhere.info.password
        stop, seen, different = threading.Event(), {}, []

        def write(n):
            with psycopg.connect(parameters[0], password=parameters[1], autocommit=True) as own:
                for turn in range(150):
                    with own.transaction():
                        own.execute(
                            "UPDATE mobility_driver SET total_rides = %s WHERE id = %s", [n * 1000 + turn, driver.pk]
                        )
                        own.execute("SELECT pg_sleep(0.0005)")

        def read():
            with psycopg.connect(parameters[0], password=parameters[1], autocommit=True) as own:
                while not stop.is_set():
                    (tag,) = own.execute(NOW).fetchone()
                    (value,) = own.execute(
                        "SELECT total_rides FROM mobility_driver WHERE id = %s", [driver.pk]
                    ).fetchone()
                    # An answer may be newer than its tag: then the next question with that tag is answered anew. What
                    # must not be: the tag still stands although the data have changed.
                    (again,) = own.execute(NOW).fetchone()
                    (now,) = own.execute(
                        "SELECT total_rides FROM mobility_driver WHERE id = %s", [driver.pk]
                    ).fetchone()
                    if again == tag and value != now:
                        (third,) = own.execute(NOW).fetchone()
                        if third == tag:
                            different.append((tag, value, now))
                    seen[tag] = value

        readers = [threading.Thread(target=read) for _ in range(2)]
        writers = [threading.Thread(target=write, args=(n,)) for n in range(2)]
        for thread in readers + writers:
            thread.start()
        for thread in writers:
            thread.join()
        stop.set()
        for thread in readers:
            thread.join()
        assert not different
        assert len(seen) > 10


@pytest.mark.django_db
class TestWhatCounts:
    @pytest.mark.parametrize("what", ["driver", "user", "driver_location", "position", "booking", "service_area"])
    def test_every_change_a_layer_shows(self, make_driver, make_user, ride, what):
        driver, person = make_driver(*JOHANNESBURG), make_user()
        booking = ride()
        layer, change = {
            "driver": (DRIVERS, lambda: Driver.objects.filter(pk=driver.pk).update(rating=3)),
            # Not the name: that one reaches the drivers' rows, and what is written there counts by itself.
            "user": (BOOKINGS, lambda: User.objects.filter(pk=person.pk).update(is_active=False)),
            "driver_location": (DRIVERS, lambda: DriverLocation.objects.filter(pk=driver.pk).update(speed=3)),
            "position": (HISTORY, lambda: told(driver)),
            "service_area": (AREAS, lambda: ServiceArea.objects.filter(name="a").update(active=False)),
            "booking": (BOOKINGS, lambda: Booking.objects.filter(pk=booking.pk).update(attention_since=None)),
        }[what]
        before = version_of(layer)
        assert version_of(layer) == before
        change()
        assert version_of(layer) != before

    def test_what_it_does_not_show_changes_nothing(self, make_driver, make_user):
        make_driver(*JOHANNESBURG)
        user = make_user()
        before = version_of(DRIVERS), version_of(HISTORY)
        User.objects.filter(pk=user.pk).update(last_login="2026-01-01T00:00:00Z")
        token_of(user)
        assert (version_of(DRIVERS), version_of(HISTORY)) == before

    def test_the_application_cannot_turn_a_count_back(self):
        from django.db import ProgrammingError

        for statement in (
            "SELECT setval('mobility_version_driver', 1)", "SELECT nextval('mobility_version_driver')",
            "SELECT last_value FROM mobility_version_driver", "SELECT mobility_count_change()",
        ):  # fmt: skip
            with pytest.raises(ProgrammingError), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement)


def told(driver):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO mobility_position (driver_id, recorded_at, received_at, position, door)"
            " VALUES (%s, now(), now(), ST_SetSRID(ST_MakePoint(28, -26), 4326), 'socket')",
            [driver.pk],
        )


def version_of(layer):
    with connection.cursor() as cursor:
        cursor.execute("SELECT mobility_data_version(%s)", [list(layer.reads)])
        return cursor.fetchone()[0]


@pytest.mark.django_db
class TestOverHttp:
    @pytest.mark.usefixtures("one_moment")
    def test_who_has_the_newest_is_told_so(self, api, operator, make_driver):
        driver = make_driver(*JOHANNESBURG)
        token = {"Authorization": f"Token {token_of(operator)}"}
        first = api.get("drivers/", headers=token)
        again = api.get("drivers/", headers=token | {"If-None-Match": first["ETag"]})
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
        assert again["Cache-Control"] == "no-store"
        Driver.objects.filter(pk=driver.pk).update(rating=3)
        changed = api.get("drivers/", headers=token | {"If-None-Match": first["ETag"]})
        assert changed.status_code == 200
        assert changed["ETag"] != first["ETag"]

    def test_a_tag_is_of_one_question_and_one_reader(self, api, make_user, operator, ride):
        ride(user := make_user())
        tags = {
            api.get(path, user=who)["ETag"]
            for who in (user, make_user(), operator)
            for path in ("bookings/", "bookings/?limit=5", "bookings/?fields=status")
        }
        assert len(tags) == 9

    def test_silence_changes_the_tag_with_time(self, monkeypatch):
        monkeypatch.setattr("mobility.layers.versions.time.time", lambda: 1000.0)
        before = etag(DRIVERS)
        monkeypatch.setattr("mobility.layers.versions.time.time", lambda: 1009.9)
        assert etag(DRIVERS) == before
        monkeypatch.setattr("mobility.layers.versions.time.time", lambda: 1010.0)
        assert etag(DRIVERS) != before
