"""Operators draw, change and close service areas."""

import json
import re

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from mobility.models import ServiceArea

pytestmark = pytest.mark.django_db
SQUARE = [[28.0, -26.3], [28.2, -26.3], [28.2, -26.1], [28.0, -26.1], [28.0, -26.3]]
BOW_TIE = [[28.0, -26.0], [28.2, -25.8], [28.2, -26.0], [28.0, -25.8], [28.0, -26.0]]
ADD = "/admin/mobility/servicearea/add/"


def drawn(*rings):
    return json.dumps({"type": "MultiPolygon", "coordinates": [list(rings)]})


@pytest.fixture
def pages(make_user):
    client = Client()
    client.force_login(make_user(is_staff=True, is_superuser=True, roles=["operator"]))
    return client


def change(area):
    return f"/admin/mobility/servicearea/{area.pk}/change/"


def errors(response):
    assert response.status_code == 200, "was saved"
    return re.findall(r'<ul class="errorlist[^>]*>\s*<li>(.*?)</li>', response.content.decode(), re.DOTALL)


def test_an_area_is_drawn_and_changed(pages):
    sent = {"name": "Jozi", "active": "on", "matching_radius_m": "", "area": drawn(SQUARE)}
    assert pages.post(ADD, sent).status_code == 302
    area = ServiceArea.objects.get()
    assert (area.name, area.active, area.matching_radius_m) == ("Jozi", True, None)
    assert area.area.extent == (28.0, -26.3, 28.2, -26.1)
    sent = {"name": "Jozi", "matching_radius_m": "4500", "area": drawn(SQUARE)}
    assert pages.post(change(area), sent).status_code == 302
    changed = ServiceArea.objects.get()
    assert (changed.active, changed.matching_radius_m) == (False, 4500)
    assert changed.updated_at >= area.updated_at
    assert pages.post(f"/admin/mobility/servicearea/{area.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not ServiceArea.objects.exists()


def test_the_page_shows_what_is_stored(pages, make_area):
    area = make_area("Jozi", (28.0, -26.3, 28.2, -26.1))
    page = pages.get(change(area)).content.decode()
    told = re.search(r'<textarea name="area"[^>]*>(.*?)</textarea>', page, re.DOTALL)[1]
    shown = json.loads(told.replace("&quot;", '"'))
    assert shown == {"type": "MultiPolygon", "coordinates": json.loads(json.dumps(area.area.coords))}
    assert "Jozi" in pages.get("/admin/mobility/servicearea/").content.decode()
    assert not re.findall(r"<script(?![^>]*\bsrc=)[^>]*>\s*\S", re.sub(r"<script[^>]*json[^>]*>.*?</script>", "", page))


def test_a_new_area_has_no_times_yet(pages):
    page = pages.get(ADD).content.decode()
    assert "field-area" in page
    assert "DatabaseDefault" not in page


def test_a_bow_tie_is_refused_with_the_place_and_stays_drawn(pages):
    response = pages.post(ADD, {"name": "Tie", "active": "on", "area": drawn(BOW_TIE)})
    assert errors(response) == [
        "This cannot be stored: self-intersection at 28.100000, -25.900000. What was drawn is still on the map."
    ]
    page = response.content.decode()
    assert json.dumps(BOW_TIE).replace('"', "&quot;") in page
    assert 'value="Tie"' in page
    assert not ServiceArea.objects.exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "required"), ("POLYGON((0 0,1 0,1 1,0 0))", "not JSON"), ("{}", "not Polygon"), ("[]", "no geometry"),
        ('{"type":"Point","coordinates":[1,2]}', "its geometry is Point"), (drawn([[200, 0]] * 4), "longitude must be"),
        (drawn(SQUARE).replace("28.2", "NaN"), "NaN is not a number"), ("[" * 100_000, "nested too deep"),
        (drawn([[1, 1]] * 4), "too few points"), ('{"type":"MultiPolygon","coordinates":[]}', "it is empty"),
        ("<script>alert(1)</script>", "not JSON"), ("0103000020E6100000", "not JSON"),
    ],
)  # fmt: skip
def test_what_is_no_area_is_refused(pages, text, reason):
    response = pages.post(ADD, {"name": "Bad", "active": "on", "area": text})
    (told,) = errors(response)
    assert reason in told
    assert "<script>alert" not in response.content.decode()
    assert not ServiceArea.objects.exists()


@pytest.mark.parametrize("radius", ["0", "200001", "nan", "x"])
def test_a_radius_that_cannot_be_is_refused(pages, radius):
    sent = {"name": "Jozi", "active": "on", "matching_radius_m": radius, "area": drawn(SQUARE)}
    assert errors(pages.post(ADD, sent))
    assert not ServiceArea.objects.exists()


def test_a_name_stands_once(pages, make_area):
    make_area("Jozi", (0, 0, 1, 1))
    assert "already exists" in errors(pages.post(ADD, {"name": "Jozi", "area": drawn(SQUARE)}))[0]


def test_who_may_only_look_gets_a_map_and_changes_nothing(make_user, make_area):
    user = make_user(is_staff=True, roles=["operator"])
    user.user_permissions.add(Permission.objects.get(codename="view_servicearea"))
    area, client = make_area("Jozi", (28.0, -26.3, 28.2, -26.1)), Client()
    client.force_login(user)
    page = client.get(change(area)).content.decode()
    assert re.search(r'<textarea name=""[^>]* readonly>{&quot;type&quot;: &quot;MultiPolygon', page)
    assert "mobility/area_map.js" in page
    assert client.post(change(area), {"name": "Mine", "area": drawn(SQUARE)}).status_code == 403
    assert ServiceArea.objects.get().name == "Jozi"
