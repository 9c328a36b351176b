"""Asking a provider: answers are kept, turns are booked in the database, failures are told."""

import json
import os
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from itertools import pairwise

import psycopg
import pytest
from django.db import connection
from django.db.models import F

from geo.coordinates import lat_lon
from geo.geocoding.geocoder import Misconfigured, Refused, TimedOut, Unavailable
from mobility.models import GeocodeAnswer, GeocoderTurn
from mobility.places.lookup import forget_old_answers, place_at, places_named
from mobility.places.turns import book_turn
from tests.environment import ROOT
from tests.places.provider import MAIN_ROAD_CAPE_TOWN

JOBURG = lat_lon(-26.2041, 28.0473)


def age(**times: float) -> None:
    GeocodeAnswer.objects.update(made_at=F("made_at") - timedelta(**times))


@pytest.mark.django_db
class TestCache:
    def test_a_question_is_asked_once(self, nominatim):
        first = places_named("Groote  Schuur", limit=5)
        assert places_named("groote schuur", limit=5) == first
        assert place_at(JOBURG) == place_at(lat_lon(JOBURG.latitude + 0.00001, JOBURG.longitude))
        assert len(nominatim.asked) == 2

    def test_fewer_are_answered_by_the_same_row(self, nominatim):
        assert len(places_named("main road", limit=5)) == 2
        assert len(places_named("main road", limit=1)) == 1
        assert len(nominatim.asked) == 1

    def test_that_there_is_nothing_is_kept_too(self, nominatim):
        for _ in range(2):
            assert places_named("nowhere", limit=5) == []
            assert place_at(lat_lon(10, 10)) is None
        assert len(nominatim.asked) == 2

    def test_another_box_place_or_backend_is_another_question(self, nominatim, settings):
        places_named("main road", limit=5)
        places_named("main road", limit=5, near=lat_lon(-33.9, 18.4))
        settings.GEOCODER_BOUNDS = "18.2,-34.4,19.0,-33.5"
        assert places_named("main road", limit=5)[0].label == MAIN_ROAD_CAPE_TOWN["display_name"]
        settings.GEOCODER_OPTIONS = settings.GEOCODER_OPTIONS | {"domain": nominatim.domain + "/"}
        places_named("main road", limit=5)
        assert len(nominatim.asked) == 4
        assert GeocodeAnswer.objects.count() == 4

    def test_an_old_answer_is_asked_for_again_and_forgotten(self, nominatim, set_knobs):
        set_knobs(geocode_cache_days=2.0)
        places_named("groote schuur", limit=5)
        place_at(JOBURG)
        age(days=1, hours=23)
        places_named("groote schuur", limit=5)
        assert (len(nominatim.asked), forget_old_answers()) == (2, 0)
        age(hours=2)
        places_named("groote schuur", limit=5)
        assert len(nominatim.asked) == 3
        assert forget_old_answers() == 1  # the other one is of this moment
        assert GeocodeAnswer.objects.count() == 1

    def test_a_failure_is_not_kept(self, nominatim):
        nominatim.says(500)
        with pytest.raises(Unavailable):
            places_named("groote schuur", limit=5)
        nominatim.is_well()
        assert len(places_named("groote schuur", limit=5)) == 1

    def test_no_text_anybody_looked_for_is_kept(self, nominatim):
        places_named("canary street 77", limit=5)
        with connection.cursor() as cursor:
            cursor.execute("SELECT string_agg(a::text, ' ') FROM mobility_geocode_answer a")
            assert "canary" not in cursor.fetchone()[0]

    def test_with_no_days_nothing_is_kept(self, nominatim, set_knobs):
        set_knobs(geocode_cache_days=0.0)
        for _ in range(2):
            places_named("groote schuur", limit=5)
        assert len(nominatim.asked) == 2
        assert not GeocodeAnswer.objects.exists()


@pytest.mark.django_db
class TestTurns:
    def test_turns_are_so_far_apart(self):
        turns = [book_turn("x", rate_per_s=2, longest_wait_s=60) for _ in range(5)]
        gaps = [(later.at - earlier.at).total_seconds() for earlier, later in pairwise(turns)]
        assert gaps == [0.5] * 4
        assert turns[0].wait_s == 0
        assert turns[4].wait_s == pytest.approx(2, abs=0.4)

    def test_who_would_wait_too_long_books_nothing(self):
        book_turn("x", rate_per_s=0.1, longest_wait_s=1)
        before = GeocoderTurn.objects.get().next_at
        with pytest.raises(Refused) as refused:
            book_turn("x", rate_per_s=0.1, longest_wait_s=1)
        assert refused.value.retry_after_s == pytest.approx(10, abs=1)
        assert GeocoderTurn.objects.get().next_at == before
        book_turn("y", rate_per_s=0.1, longest_wait_s=1)  # another geocoder's turn is its own

    def test_a_provider_that_wants_to_be_left_alone_is(self, nominatim, settings):
        nominatim.says(429, Retry_After="40")
        with pytest.raises(Refused):
            places_named("groote schuur", limit=5)
        nominatim.is_well()
        with pytest.raises(Refused) as refused:
            places_named("main road", limit=5)
        assert refused.value.retry_after_s == pytest.approx(40, abs=2)
        assert len(nominatim.asked) == 1

    def test_an_absurd_pause_is_an_hour(self, nominatim):
        nominatim.says(429, Retry_After="99999999999")
        with pytest.raises(Refused):
            places_named("groote schuur", limit=5)
        with pytest.raises(Refused) as refused:
            places_named("main road", limit=5)
        assert refused.value.retry_after_s == pytest.approx(3600, abs=5)

    def test_who_waited_for_what_was_answered_meanwhile_asks_nobody(self, nominatim, settings, monkeypatch):
        settings.GEOCODER_RATE_PER_S = 1.0
        book_turn("nominatim", rate_per_s=1, longest_wait_s=3)
        waited = []

        def meanwhile(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 1:  # somebody else, who does not wait
                assert len(places_named("main road", limit=2)) == 2

        monkeypatch.setattr("time.sleep", meanwhile)
        assert len(places_named("main road", limit=2)) == 2
        assert waited == [pytest.approx(1, abs=0.5), pytest.approx(2, abs=0.5)]
        assert len(nominatim.asked) == 1

    def test_what_is_known_takes_no_turn(self, nominatim):
        places_named("groote schuur", limit=5)
        before = GeocoderTurn.objects.get().next_at
        places_named("groote schuur", limit=5)
        assert GeocoderTurn.objects.get().next_at == before

    def test_nor_does_a_geocoder_that_rests(self, nominatim):
        nominatim.says(500)
        for number in range(3):
            with pytest.raises(Unavailable):
                places_named(f"main road {number}", limit=5)
        before = GeocoderTurn.objects.get().next_at
        with pytest.raises(Unavailable, match="resting"):
            places_named("main road", limit=5)
        assert GeocoderTurn.objects.get().next_at == before
        assert len(nominatim.asked) == 3


BOOK = """
import django, sys
django.setup()
from mobility.places.turns import book_turn
for _ in range(20):
    print(book_turn("nominatim", rate_per_s=1, longest_wait_s=1000).at.isoformat())
"""


def test_processes_share_one_row_and_no_two_turns_are_nearer_than_a_second(committed_db):
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    running = [
        subprocess.Popen([sys.executable, "-c", BOOK], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    turns = sorted(datetime.fromisoformat(line) for text in said for line in text.split())
    assert len(turns) == 40
    assert all((later - earlier).total_seconds() >= 1 for earlier, later in pairwise(turns))
    assert (turns[-1] - turns[0]).total_seconds() < 60  # and none is wasted


def test_threads_ask_the_provider_no_faster_than_the_rate(committed_db, nominatim, settings):
    settings.GEOCODER_RATE_PER_S, settings.GEOCODER_WAIT_S = 10.0, 30.0

    def ask(number: int) -> None:
        try:
            places_named(f"main road {number}", limit=1)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    came = sorted(asked.at for asked in nominatim.asked)
    assert len(came) == 6
    # A sleep ends late, never early; how long a question is under way differs, more so on a busy machine.
    assert came[-1] - came[0] >= 5 * 0.1 / 2


def test_while_a_provider_is_waited_for_no_connection_is_held(committed_db, nominatim, admin_url):
    nominatim.may_answer.clear()
    thread = threading.Thread(target=_ask_and_close)
    thread.start()
    try:
        assert nominatim.was_asked.wait(10)
        with psycopg.connect(admin_url) as admin:
            count = admin.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND usename = 'careconnect_app' AND query LIKE '%mobility_geocoder_turn%'"
            ).fetchone()
        assert count == (0,)
    finally:
        nominatim.may_answer.set()
        thread.join()


def _ask_and_close() -> None:
    try:
        places_named("groote schuur", limit=1)
    finally:
        connection.close()


@pytest.mark.django_db
def test_with_no_geocoder_nobody_is_asked(settings):
    settings.GEOCODER = ""
    with pytest.raises(Misconfigured):
        places_named("groote schuur", limit=1)


@pytest.mark.django_db
def test_the_log_says_that_it_failed_and_not_what_was_asked(nominatim, caplog):
    nominatim.says(500, json.dumps({"q": "canary"}))
    with pytest.raises(Unavailable):
        places_named("canary street 77", limit=1)
    told = " ".join(str(record.msg) + record.getMessage() for record in caplog.records)
    assert "geocoding_failed" in told
    assert "canary" not in told


def test_a_search_of_the_gazetteer_that_takes_too_long_is_given_up(committed_db, settings, admin_url):
    """As a word would that a million places have; here it is a lock that keeps the statement."""
    settings.GEOCODER = "gazetteer"
    with psycopg.connect(admin_url) as admin, connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '200ms'")
        admin.execute("LOCK TABLE mobility_place IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(TimedOut):
            places_named("street", limit=1)
        admin.rollback()
    assert places_named("street", limit=1) == []
