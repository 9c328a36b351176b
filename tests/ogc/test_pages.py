"""The pages about collections: landing, conformance, definition, list, one. By the requirements of Part 1."""

import json
import re

import pytest
from django.contrib.gis.geos import MultiPolygon, Polygon
from drf_spectacular.validation import validate_schema

from mobility.layers.measures import AT_MOST
from mobility.models import DemandHour, DemandMade, ServiceArea
from mobility.ogc.collections import COLLECTIONS
from mobility.people.models import Scope
from tests.demand.staging import PLACE, cell_of, hour_ago
from tests.ogc.conftest import links
from tests.rest import problem

pytestmark = pytest.mark.django_db
PAGES = ["", "conformance", "api", "collections", "collections/drivers"]
OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
PART_1 = "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf"


class TestEveryPage:
    @pytest.mark.parametrize("path", [*PAGES, "collections/drivers/items"])
    def test_tells_its_own_address_and_the_other_form(self, read, path):
        document = read(path)
        if path == "api":  # a document of another standard, which knows no links
            assert "links" not in document
            return
        (own,), (other,) = links(document, "self"), links(document, "alternate")
        assert own["href"] == f"http://testserver/ogc/{path}?f=json"
        assert (other["href"], other["type"]) == (f"http://testserver/ogc/{path}?f=html", "text/html")

    @pytest.mark.parametrize("path", PAGES)
    def test_knows_no_parameter_but_f(self, ask, path):
        assert problem(ask(f"{path}?colour=red")) == (400, "invalid_parameter", "colour")
        assert problem(ask(f"{path}?f=xml")) == (400, "invalid_parameter", "f")

    @pytest.mark.parametrize("path", [*PAGES, "collections/drivers/items"])
    def test_has_two_forms(self, ask, path):
        for query, accept in (("?f=html", ""), ("", "text/html,*/*;q=0.8")):
            page = ask(path + query, Accept=accept)
            assert (page.status_code, page["Content-Type"]) == (200, "text/html; charset=utf-8")
            assert "default-src 'none'" in page["Content-Security-Policy"]
            assert "Accept" in page["Vary"]
        told = ask(path, Accept="application/json")
        assert told["Content-Type"] in {"application/json", "application/geo+json", OPENAPI}

    @pytest.mark.parametrize("path", [*PAGES, "collections/drivers/items"])
    def test_has_no_script_and_nothing_from_elsewhere(self, ask, path):
        content = ask(path, Accept="text/html").content.decode()
        assert not re.findall(r"<script(?![^>]*\bsrc=)", content)
        assert not re.findall(r"<style|\sstyle=|\son\w+=", content)
        assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", content)

    @pytest.mark.parametrize("path", PAGES)
    def test_is_answered_to_head_and_written_by_nobody(self, ask, path):
        assert ask(path, method="HEAD").status_code == 200
        assert ask(path, method="OPTIONS").status_code == 200
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert problem(ask(path, method=method)) == (405, "method_not_allowed", None)

    def test_links_are_as_the_proxy_shows_them(self, client, settings):
        settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
        settings.ALLOWED_HOSTS = ["rides.example.org"]
        headers = {"Host": "rides.example.org", "X-Forwarded-Proto": "https"}
        document = client.get("/ogc/", headers=headers).json()
        assert {link["href"].partition("/ogc/")[0] for link in document["links"]} == {"https://rides.example.org"}
        definition = client.get("/ogc/api", headers=headers).json()
        assert definition["servers"] == [{"url": "https://rides.example.org/ogc"}]

    def test_over_http_in_production_it_is_refused_and_not_redirected(self, client, settings):
        settings.SECURE_SSL_REDIRECT = True
        for path in ("/ogc/", "/ogc/collections/drivers/items"):
            answer = client.get(path, headers={"Accept": "text/html"})
            assert (answer.status_code, answer["Content-Type"]) == (403, "application/problem+json")

    def test_an_unknown_one_is_a_problem(self, client):
        for path in ("/ogc/nothing", "/ogc/collections/", "/ogc/collections/drivers/things"):
            assert problem(client.get(path)) == (404, "unknown_path", None)

    def test_without_its_slash_the_landing_page_is_found(self, client):
        answer = client.get("/ogc")
        assert (answer.status_code, answer["Location"]) == (301, "/ogc/")


class TestLanding:
    def test_leads_to_everything(self, read):
        document = read()
        assert {link["rel"] for link in document["links"]} == {
            "self", "alternate", "service-desc", "service-doc", "conformance", "data",
        }  # fmt: skip
        (described,) = links(document, "service-desc")
        assert described["type"] == OPENAPI

    def test_every_link_leads_somewhere_of_the_type_it_says(self, ask, read):
        seen, waiting = set(), ["http://testserver/ogc/?f=json"]
        while waiting:
            address = waiting.pop()
            if address in seen:
                continue
            seen.add(address)
            path = address.removeprefix("http://testserver/ogc/")
            answer = ask(path)
            assert answer.status_code == 200, address
            if "json" in answer["Content-Type"] and "openapi" not in answer["Content-Type"]:
                document = json.loads(answer.content)
                for link in [*document["links"], *(x for c in document.get("collections", []) for x in c["links"])]:
                    assert ask(link["href"].removeprefix("http://testserver/ogc/"))["Content-Type"].startswith(
                        link["type"]
                    )
                    waiting.append(link["href"])
        assert len(seen) == 2 * (1 + 1 + 1 + 1 + 2 * len(COLLECTIONS))

    def test_anybody_may_see_it_what_is_kept_and_how_to_ask(self, client):
        for path in ("", "conformance", "api"):
            assert client.get(f"/ogc/{path}").status_code == 200


def test_only_what_is_kept_is_said_to_be(read):
    assert read("conformance")["conformsTo"] == [f"{PART_1}/{name}" for name in ("core", "oas30", "html", "geojson")]


class TestCollections:
    def test_each_has_what_the_standard_asks_for(self, read):
        listed = read("collections")["collections"]
        assert [found["id"] for found in listed] == ["drivers", "bookings", "service-areas", "demand"]
        for found in listed:
            assert "." not in found["id"]  # older QGIS fails on them
            assert found["title"]
            assert found["description"].endswith(".")
            assert found["itemType"] == "feature"
            assert found["crs"] == ["http://www.opengis.net/def/crs/OGC/1.3/CRS84"]
            items = links(found, "items")
            assert {link["type"] for link in items} == {"application/geo+json", "text/html"}
            alone = read(f"collections/{found['id']}")
            members = {name: value for name, value in found.items() if name != "links"}
            assert members == {name: value for name, value in alone.items() if name != "links"}

    def test_an_unknown_one_is_not_found(self, ask):
        for path in ("collections/trips", "collections/areas/items", "collections/x/items/1"):
            assert problem(ask(path))[:2] == (404, "not_found")


class TestExtents:
    def test_hold_what_is_there(self, read, make_driver, ride):
        make_driver(-26.3, 28.2), make_driver(-26.1, 28.0), make_driver(None, None)
        extent = read("collections/drivers")["extent"]
        assert extent["spatial"]["bbox"] == [[28.0, -26.3, 28.2, -26.1]]
        (begin, end) = extent["temporal"]["interval"][0]
        assert begin <= end
        assert begin.endswith("Z")
        assert read(f"collections/drivers/items?datetime={begin}/{end}")["numberMatched"] == 3

    def test_over_the_antimeridian(self, read, make_driver):
        make_driver(-17, 179.9), make_driver(-17, -179.9)
        assert read("collections/drivers")["extent"]["spatial"]["bbox"] == [[-179.9, -17, 179.9, -17]]

    def test_of_nothing_are_the_world_and_all_times(self, read):
        for name in COLLECTIONS:
            extent = read(f"collections/{name}")["extent"]
            assert extent["spatial"]["bbox"] == [[-180.0, -90.0, 180.0, 90.0]]
            assert extent["temporal"]["interval"] == [[None, None]]

    def test_of_areas_are_open_at_the_end(self, read):
        ServiceArea.objects.create(name="J", area=MultiPolygon(Polygon.from_bbox((28, -27, 29, -26)), srid=4326))
        begin, end = read("collections/service-areas")["extent"]["temporal"]["interval"][0]
        assert (begin is not None, end) == (True, None)

    def test_of_demand_end_with_the_last_hour_and_a_key_learns_nothing_of_small_counts(self, read):
        for hours, requests in ((3, 20), (2, 3)):
            hour = hour_ago(hours)
            DemandMade.objects.create(hour=hour, made_at=hour, changed_at=hour, due_at=None)
            DemandHour.objects.create(
                size_m=1000, hour=hour, cell=cell_of(PLACE, 1000), requests=requests, unfulfilled=0, idle_drivers=None
            )
        stamp = "%Y-%m-%dT%H:%M:%SZ"
        for key, until in ((None, 1), ([Scope.DEMAND], 2)):
            interval = read("collections/demand", key=key)["extent"]["temporal"]["interval"][0]
            assert interval == [hour_ago(3).strftime(stamp), hour_ago(until).strftime(stamp)]

    def test_are_not_measured_at_any_cost(self, read, make_driver, monkeypatch):
        make_driver(-26.3, 28.2)
        assert AT_MOST > 1
        monkeypatch.setattr("mobility.layers.measures.AT_MOST", 0)
        assert read("collections/drivers")["extent"]["spatial"]["bbox"] == [[-180.0, -90.0, 180.0, 90.0]]


class TestDefinition:
    @pytest.fixture
    def definition(self, read):
        return read("api")

    def test_it_is_valid(self, ask, definition):
        assert ask("api")["Content-Type"] == OPENAPI
        validate_schema(definition)

    def test_every_path_is_there_with_its_refusals(self, definition):
        items = {f"/collections/{name}/items" for name in COLLECTIONS}
        assert set(definition["paths"]) == {
            "/", "/conformance", "/api", "/collections", "/collections/{collectionId}", *items,
            *(f"{path}/{{featureId}}" for path in items),
        }  # fmt: skip
        for path, methods in definition["paths"].items():
            assert {"400", "401", "429", "500", "503"} <= set(methods["get"]["responses"]), path

    def test_what_it_says_of_parameters_is_what_is_taken(self, ask, definition):
        examples = {
            "f": "json", "limit": "5", "bbox": "1,2,3,4", "bbox-crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
            "datetime": "2026-01-01T00:00:00Z", "near": "1,2", "radius_m": "5", "fields": "", "active": "true",
            "attention": "true",
        }  # fmt: skip
        for name in COLLECTIONS:
            told = definition["paths"][f"/collections/{name}/items"]["get"]["parameters"]
            names = {p.get("name") or p["$ref"].rpartition("/")[2] for p in told}
            # The two that need something of the collection's own.
            assert names <= {*examples, "cursor", "status"}
            for parameter in set(examples) & names - {"near", "radius_m"}:
                path = f"collections/{name}/items?{parameter}={examples[parameter]}"
                assert ask(path).status_code == 200, path
            for parameter in {*examples, "status"} - names - {"near", "radius_m"}:
                refused = problem(ask(f"collections/{name}/items?{parameter}=x"))
                assert refused == (400, "invalid_parameter", parameter)

    def test_gis_clients_find_the_largest_page(self, definition):
        limit = definition["components"]["parameters"]["limit"]["schema"]
        assert (limit["minimum"], limit["default"], limit["maximum"]) == (1, 100, 10_000)

    def test_who_may_ask_is_said(self, definition):
        schemes = definition["components"]["securitySchemes"]
        assert schemes["basic"]["scheme"] == "basic"
        assert {} in definition["paths"]["/"]["get"]["security"]
        assert "security" not in definition["paths"]["/collections/drivers/items"]["get"]

    def test_people_read_all_of_it_too(self, ask, definition):
        page = ask("api?f=html").content.decode()
        for path, methods in definition["paths"].items():
            assert f"GET {path}" in page
            assert methods["get"]["summary"] in page
        for name in ("bbox", "datetime", "limit", "status", "attention"):
            assert f"<code>{name}</code>" in page
