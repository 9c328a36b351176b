"""Features: filters, pages, counts, links, one alone; and that they are what the REST API says."""

import gzip
import html
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from django.contrib.gis.geos import MultiPolygon, Polygon
from django.db import OperationalError, connection
from django.utils import timezone

from geo.coordinates import lat_lon
from mobility.layers import measures
from mobility.locations.layers import DRIVERS
from mobility.models import DemandHour, DemandMade, ServiceArea
from mobility.ogc.collections import COLLECTIONS
from mobility.ogc.items import MAX_LIMIT, MAX_ROWS
from tests.demand.staging import PLACE, cell_of, hour_ago
from tests.ogc.conftest import links
from tests.rest import problem

pytestmark = pytest.mark.django_db
JOHANNESBURG = (-26.2041, 28.0473)
ITEMS = "collections/drivers/items"
WORLD_JSON = "application/geo+json"


@pytest.fixture
def ids(read):
    """ids(path): the ids of the features there."""
    return lambda path: [feature["id"] for feature in read(f"collections/{path}")["features"]]


@pytest.fixture
def area():
    return ServiceArea.objects.create(name="J", area=MultiPolygon(Polygon.from_bbox((28, -27, 29, -26)), srid=4326))


@pytest.fixture
def hexagons():
    """Three hours in one hexagon."""
    for hours in (3, 2, 1):
        hour = hour_ago(hours)
        DemandMade.objects.create(hour=hour, made_at=hour, changed_at=hour, due_at=None)
        DemandHour.objects.create(
            size_m=1000, hour=hour, cell=cell_of(PLACE, 1000), requests=20, unfulfilled=0, idle_drivers=None
        )


@pytest.fixture
def everything(make_driver, ride, area, hexagons):
    """Something in every collection."""
    make_driver(*JOHANNESBURG), make_driver(None, None)
    ride(), ride()


@pytest.mark.usefixtures("everything")
class TestAnswer:
    @pytest.mark.parametrize("name", COLLECTIONS)
    def test_says_what_the_rest_api_says(self, api, operator, read, name):
        collection = read(f"collections/{name}/items")
        assert collection["features"] == json.loads(api.get(f"{name}/", user=operator).content)["features"]
        assert collection["type"] == "FeatureCollection"
        assert collection["numberReturned"] == collection["numberMatched"] == len(collection["features"]) > 0
        stamp = datetime.fromisoformat(collection["timeStamp"])
        assert abs(timezone.now() - stamp) < timedelta(minutes=1)
        assert {link["rel"] for link in collection["links"]} == {"self", "alternate", "collection"}
        assert all(link["type"] for link in collection["links"])

    @pytest.mark.parametrize("name", COLLECTIONS)
    def test_each_feature_is_found_alone(self, ask, read, name):
        for feature in read(f"collections/{name}/items")["features"]:
            answer = ask(f"collections/{name}/items/{feature['id']}")
            assert (answer["Content-Type"], answer["Content-Crs"]) == (
                WORLD_JSON, "<http://www.opengis.net/def/crs/OGC/1.3/CRS84>",
            )  # fmt: skip
            alone = json.loads(answer.content)
            assert {link["rel"] for link in alone.pop("links")} == {"self", "alternate", "collection"}
            assert alone == feature

    @pytest.mark.parametrize("name", COLLECTIONS)
    @pytest.mark.parametrize(
        "number", ["0", "99999", str(2**63 - 1), str(2**63), "9" * 40, "-1", "x", "1.0", "١", "1%00"]
    )
    def test_another_is_not_found(self, ask, name, number):
        assert problem(ask(f"collections/{name}/items/{number}")) == (404, "not_found", None)

    def test_one_alone_takes_no_filter(self, ask):
        assert problem(ask(f"{ITEMS}/1?bbox=1,2,3,4")) == (400, "invalid_parameter", "bbox")

    @pytest.mark.parametrize("name", COLLECTIONS)
    def test_names_its_reference_system(self, ask, name):
        answer = ask(f"collections/{name}/items")
        assert answer["Content-Type"] == WORLD_JSON
        assert answer["Content-Crs"] == "<http://www.opengis.net/def/crs/OGC/1.3/CRS84>"
        assert answer["Cache-Control"] == "no-store"

    def test_gzip(self, ask, make_driver):
        for _ in range(20):
            make_driver(*JOHANNESBURG)
        packed = ask(ITEMS, **{"Accept-Encoding": "gzip"})
        assert packed["Content-Encoding"] == "gzip"
        assert json.loads(gzip.decompress(packed.content))["numberReturned"] == 22

    @pytest.mark.usefixtures("one_moment")
    @pytest.mark.parametrize("path", [ITEMS, f"{ITEMS}?f=html", f"{ITEMS}/{{0}}"])
    def test_who_has_the_newest_hears_304_until_something_changes(self, ask, ids, make_driver, path):
        path = path.format(ids("drivers/items")[0])
        first = ask(path)
        again = ask(path, **{"If-None-Match": first["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again["Content-Crs"]
        make_driver(*JOHANNESBURG)
        assert ask(path, **{"If-None-Match": first["ETag"]}).status_code == 200

    def test_forms_and_readers_have_tags_of_their_own(self, ask):
        from mobility.people.models import Scope

        tags = {
            ask(ITEMS)["ETag"], ask(ITEMS, Accept="text/html")["ETag"], ask(ITEMS, key=[Scope.DRIVERS])["ETag"],
            ask(f"{ITEMS}?limit=1")["ETag"],
        }  # fmt: skip
        assert len(tags) == 4


class TestPages:
    @pytest.fixture
    def many(self, make_driver, ride, hexagons):
        for _ in range(7):
            make_driver(*JOHANNESBURG, status="offline")
            ride()

    @pytest.mark.parametrize(("name", "number"), [("drivers", 7), ("bookings", 7), ("demand", 3)])
    @pytest.mark.parametrize("limit", [1, 2, 3, 7])
    def test_all_of_it_once_and_each_page_counts_all(self, read, ask, many, name, number, limit):
        whole = [feature["id"] for feature in read(f"collections/{name}/items")["features"]]
        found, address = [], f"http://testserver/ogc/collections/{name}/items?limit={limit}&bbox=-180,-90,180,90"
        pages = 0
        while address:
            page = json.loads(ask(address.removeprefix("http://testserver/ogc/")).content)
            found += [feature["id"] for feature in page["features"]]
            assert page["numberMatched"] == number
            assert page["numberReturned"] == len(page["features"]) <= limit
            following = links(page, "next")
            assert all(link["type"] == WORLD_JSON for link in following)
            address = following[0]["href"] if following else None
            pages += 1
        assert found == whole
        assert len(whole) == number
        assert pages == -(-number // limit)

    def test_the_next_page_keeps_filters_and_form_and_tells_no_secret(self, ask, many):
        page = ask(f"{ITEMS}?limit=2&status=offline&bbox=-180,-90,180,90&f=json", key=["drivers:read"])
        (following,) = links(json.loads(page.content), "next")
        query = urlsplit(following["href"]).query
        for kept in ("limit=2", "status=offline", "bbox=-180%2C-90%2C180%2C90", "f=json", "cursor="):
            assert kept in query
        sent = page.wsgi_request.headers["Authorization"].split()[1]
        assert sent not in page.content.decode()

    def test_the_next_page_of_a_table_is_a_table(self, ask, many):
        page = ask(f"{ITEMS}?limit=2", Accept="text/html").content.decode()
        assert "2 on this page, 7 in all" in page
        address = page.partition('" rel="next"')[0].rpartition('"/ogc/')[2]
        following = ask(html.unescape(address))
        assert following["Content-Type"].startswith("text/html")
        assert "The first page" in following.content.decode()

    def test_a_limit_above_the_highest_is_the_highest(self, read, many, monkeypatch):
        assert read(f"{ITEMS}?limit={10 * MAX_LIMIT}")["numberReturned"] == 7
        monkeypatch.setattr("mobility.ogc.items.MAX_LIMIT", 3)
        assert read(f"{ITEMS}?limit=5")["numberReturned"] == 3

    def test_a_table_has_fewer_rows(self, ask, many, monkeypatch):
        assert MAX_ROWS < MAX_LIMIT
        monkeypatch.setattr("mobility.ogc.items.MAX_ROWS", 3)
        assert "3 on this page, 7 in all" in ask(f"{ITEMS}?limit=5&f=html").content.decode()

    def test_a_hundred_by_default(self, read, make_driver):
        for _ in range(101):
            make_driver(*JOHANNESBURG)
        page = read(ITEMS)
        assert (page["numberReturned"], page["numberMatched"], len(links(page, "next"))) == (100, 101, 1)


class TestCounts:
    def test_too_many_are_not_told(self, read, make_driver, monkeypatch):
        for _ in range(3):
            make_driver(*JOHANNESBURG)
        monkeypatch.setattr(measures, "AT_MOST", 3)
        assert read(ITEMS)["numberMatched"] == 3
        monkeypatch.setattr(measures, "AT_MOST", 2)
        page = read(ITEMS)
        assert "numberMatched" not in page
        assert page["numberReturned"] == 3

    def test_nobody_waits_for_a_count_and_what_follows_has_its_time(self, read, ask, make_driver, monkeypatch):
        make_driver(*JOHANNESBURG)
        slow = "SELECT count(pg_sleep(10)) FROM generate_series(1, 1)"
        real = measures._in_patience
        monkeypatch.setattr(measures, "PATIENCE_MS", 50)
        monkeypatch.setattr(measures, "_in_patience", lambda _statement, params: real(slow, params))
        assert "numberMatched" not in read(ITEMS)
        assert "many more in all" in ask(f"{ITEMS}?f=html").content.decode()
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() != ("50ms",)

    def test_after_a_count_the_time_of_statements_is_as_before(self, make_driver):
        make_driver(*JOHANNESBURG)
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            before = cursor.fetchone()
            assert measures.counted(DRIVERS, COLLECTIONS["drivers"].found({}, False)) == 1
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == before

    def test_another_fault_is_no_missing_count(self, make_driver, monkeypatch):
        with pytest.raises(OperationalError):
            measures._in_patience("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'lock_not_available'; END $$", {})


class TestBoxes:
    def test_what_touches_it_and_what_has_no_place(self, ids, make_driver):
        inside, outside, nowhere = make_driver(*JOHANNESBURG), make_driver(-30, 20), make_driver(None, None)
        assert ids("drivers/items?bbox=28,-27,29,-26") == [inside.pk, nowhere.pk]
        assert ids("drivers/items?bbox=19,-31,21,-29") == [outside.pk, nowhere.pk]
        assert ids("drivers/items?bbox=28.0473,-26.2041,28.0473,-26.2041") == [inside.pk, nowhere.pk]

    def test_over_the_antimeridian_and_with_heights(self, ids, make_driver, ride):
        east, west = make_driver(-17, 179.9, status="offline"), make_driver(-17, -179.9, status="offline")
        make_driver(*JOHANNESBURG, status="offline")
        assert ids("drivers/items?bbox=179,-18,-179,-16") == [east.pk, west.pk]
        assert ids("drivers/items?bbox=179,-18,-100,-179,-16,9000") == [east.pk, west.pk]
        pacific = ride(pickup=lat_lon(-17.0, 179.9), dropoff=lat_lon(-17.0, -179.9), distance_km=None)
        ride()
        assert ids("bookings/items?bbox=179.95,-18,-179.95,-16") == [pacific.pk]

    def test_of_areas_and_hexagons(self, ids, area, hexagons):
        assert ids("service-areas/items?bbox=28.5,-26.5,28.6,-26.4") == [area.pk]
        assert ids("service-areas/items?bbox=1,2,3,4") == []
        assert len(ids("demand/items?bbox=28,-26.3,28.1,-26.1")) == 3
        assert ids("demand/items?bbox=1,2,3,4") == []


class TestTimes:
    def test_of_positions(self, ids, make_driver):
        early = make_driver(*JOHANNESBURG, recorded_at=datetime(2026, 1, 1, 8, tzinfo=UTC))
        late = make_driver(*JOHANNESBURG, recorded_at=datetime(2026, 1, 1, 9, tzinfo=UTC))
        never = make_driver(None, None)
        assert ids("drivers/items?datetime=2026-01-01T08:30:00Z/..") == [late.pk, never.pk]
        assert ids("drivers/items?datetime=2026-01-01T08:30:00Z/") == [late.pk, never.pk]
        assert ids("drivers/items?datetime=../2026-01-01T08:30:00Z") == [early.pk, never.pk]
        assert ids("drivers/items?datetime=/2026-01-01T08:30:00Z") == [early.pk, never.pk]
        assert ids("drivers/items?datetime=2026-01-01T08:00:00Z/2026-01-01T09:00:00Z") == [early.pk, late.pk, never.pk]
        assert ids("drivers/items?datetime=2026-01-01T11:00:00%2B02:00") == [late.pk, never.pk]

    def test_of_rides(self, ids, ride):
        booking = ride()
        at = booking.requested_at.isoformat().replace("+00:00", "Z")
        assert ids(f"bookings/items?datetime={at}") == [booking.pk]
        assert ids("bookings/items?datetime=../2020-01-01T00:00:00Z") == []

    def test_of_areas_which_are_there_from_when_they_were_made(self, ids, area):
        made = area.created_at
        before, after = ((made + timedelta(minutes=m)).strftime("%Y-%m-%dT%H:%M:%SZ") for m in (-5, 5))
        assert ids(f"service-areas/items?datetime={after}") == [area.pk]
        assert ids(f"service-areas/items?datetime={after}/..") == [area.pk]
        assert ids(f"service-areas/items?datetime={before}/{after}") == [area.pk]
        assert ids(f"service-areas/items?datetime=../{before}") == []

    def test_of_hexagons_whose_hour_it_touches(self, ids, hexagons):
        stamp = "%Y-%m-%dT%H:%M:%SZ"
        within = (hour_ago(2) + timedelta(minutes=30)).strftime(stamp)
        assert len(ids(f"demand/items?datetime={within}")) == 1
        assert len(ids(f"demand/items?datetime={within}/..")) == 2
        assert len(ids(f"demand/items?datetime=../{within}")) == 2
        assert len(ids("demand/items")) == 3


class TestPropertyFilters:
    def test_of_drivers(self, ids, make_driver):
        busy, free = make_driver(*JOHANNESBURG, status="offline"), make_driver(*JOHANNESBURG)
        assert ids("drivers/items?status=available") == [free.pk]
        assert ids("drivers/items?status=available,offline") == [busy.pk, free.pk]
        assert ids("drivers/items?near=-26.2041,28.0473&radius_m=10") == [busy.pk, free.pk]

    def test_of_rides_and_areas(self, ids, ride, area):
        booking = ride()
        assert ids(f"bookings/items?status={booking.status}") == [booking.pk]
        assert ids("bookings/items?status=completed") == []
        assert ids("bookings/items?attention=false") == [booking.pk]
        ServiceArea.objects.filter(pk=area.pk).update(active=False)
        assert ids("service-areas/items?active=false") == [area.pk]
        assert ids("service-areas/items?active=true") == []

    def test_fields(self, read, make_driver):
        make_driver(*JOHANNESBURG)
        (feature,) = read(f"{ITEMS}?fields=status,rating")["features"]
        assert feature["properties"] == {"status": "available", "rating": 5.0}


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("colour=red", "colour"), ("token=x", "token"), ("limit=0", "limit"), ("limit=-1", "limit"),
        ("limit=x", "limit"), ("limit=", "limit"), ("limit=1.5", "limit"), ("limit=nan", "limit"),
        ("f=xml", "f"), ("f=", "f"),
        ("bbox=1,2,3", "bbox"), ("bbox=1,2,3,4,5", "bbox"), ("bbox=1,2,3,x", "bbox"), ("bbox=1,2,nan,4", "bbox"),
        ("bbox=1,2,3,inf", "bbox"), ("bbox=1,4,3,2", "bbox"), ("bbox=-181,0,0,1", "bbox"), ("bbox=0,-91,0,1", "bbox"),
        ("bbox=1,2,5,3,4,1", "bbox"), ("bbox=1,2,3,4&bbox=1,2,3,4", "bbox"), ("bbox=", "bbox"),
        ("bbox=1,2,3,4&bbox-crs=http://www.opengis.net/def/crs/EPSG/0/4326", "bbox-crs"),
        ("crs=http://www.opengis.net/def/crs/OGC/1.3/CRS84", "crs"),
        ("datetime=yesterday", "datetime"), ("datetime=2026-01-01", "datetime"), ("datetime=../..", "datetime"),
        ("datetime=", "datetime"), ("datetime=2026-01-02T00:00:00Z/2026-01-01T00:00:00Z", "datetime"),
        ("datetime=2026-01-01T00:00:00Z/2026-01-02T00:00:00Z/2026-01-03T00:00:00Z", "datetime"),
        ("cursor=x", "cursor"), ("cursor=", "cursor"), ("status=lost", "status"), ("fields=geometry", "fields"),
        ("export=1", "export"), ("offset=10", "offset"), ("near=1,2", "radius_m"), ("status=%00", "status"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_and_named(ask, query, named):
    assert problem(ask(f"{ITEMS}?{query}")) == (400, "invalid_parameter", named)


@pytest.mark.parametrize("name", COLLECTIONS)
def test_no_collection_takes_another_ones_cursor_for_its_own(ask, name):
    assert problem(ask(f"collections/{name}/items?cursor=eCB5"))[2] == "cursor"
