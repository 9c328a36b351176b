"""The parts of OGC API that know nothing of rides: forms, links, boxes."""

from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.ogc.boxes import flat
from geo.ogc.conformance import CRS84, CRS84H
from geo.ogc.links import in_both_forms, in_form, own_links
from geo.ogc.negotiation import form_of
from geo.params import ParameterError

CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


class TestForms:
    @pytest.mark.parametrize(
        ("accept", "form"),
        [
            ("", "json"), ("*/*", "json"), ("application/json", "json"), ("application/geo+json", "json"),
            ("text/html", "html"), (CHROMIUM, "html"), ("application/json, text/html", "json"),
            ("application/json;q=0.5, text/html", "html"), ("text/html;q=0.5, application/geo+json;q=0.6", "json"),
            ("TEXT/HTML ; Q=0.9, application/json;q=0.1", "html"), ("text/html;q=0", "json"), ("image/png", "json"),
            ("text/html;q=x", "json"), ("text/html;q=nan", "json"),
            ("application/vnd.oai.openapi+json;version=3.0", "json"),
            (",;,", "json"),
        ],
    )  # fmt: skip
    def test_what_is_accepted_best(self, accept, form):
        assert form_of({}, accept) == form

    @pytest.mark.parametrize("form", ["json", "html"])
    @pytest.mark.parametrize("accept", ["text/html", "application/json"])
    def test_f_goes_before(self, accept, form):
        assert form_of({"f": form}, accept) == form

    @pytest.mark.parametrize("form", ["", "JSON", "xml", "json,html"])
    def test_others_are_refused(self, form):
        with pytest.raises(ParameterError) as refused:
            form_of({"f": form}, "")
        assert refused.value.parameter == "f"

    @given(st.text(max_size=80))
    def test_any_header_is_borne(self, accept):
        assert form_of({}, accept) in {"json", "html"}


class TestLinks:
    @given(st.lists(st.tuples(st.text(min_size=1, max_size=8), st.text(max_size=8))))
    def test_the_form_is_named_once_and_the_rest_stays(self, query):
        text = [(n, v) for n, v in query if n != "f"]
        url = in_form("https://a.example/ogc/x?" + urlencode([*text, ("f", "html")], errors="replace"), "json")
        expected = [(n, v) for n, v in parse_qsl(urlencode(text, errors="replace"), keep_blank_values=True)]
        assert parse_qsl(urlsplit(url).query, keep_blank_values=True) == [*expected, ("f", "json")]

    def test_of_a_page_itself(self):
        own, other = own_links("https://a.example/ogc/?f=html", "html", "application/json")
        assert (own["rel"], own["type"], own["href"]) == ("self", "text/html", "https://a.example/ogc/?f=html")
        assert (other["rel"], other["type"]) == ("alternate", "application/json")
        assert other["href"] == "https://a.example/ogc/?f=json"

    def test_to_another_page(self):
        found = in_both_forms("https://a.example/ogc/x", "items", "application/geo+json", "Things")
        assert [(link["rel"], link["type"]) for link in found] == [
            ("items", "application/geo+json"), ("items", "text/html"),
        ]  # fmt: skip


class TestBoxes:
    def test_heights_are_left_out(self):
        assert flat({"bbox": "1,2,-100,3,4,9000"}) == {"bbox": "1,2,3,4"}
        assert flat({"bbox": "1,2,3,4", "limit": "5"}) == {"bbox": "1,2,3,4", "limit": "5"}
        assert flat({}) == {}

    @pytest.mark.parametrize("bbox", ["1,2,x,3,4,5", "1,2,nan,3,4,5", "1,2,0,3,4,inf", "1,2,9,3,4,8", "1,2,,3,4,"])
    def test_heights_that_are_none_are_refused(self, bbox):
        with pytest.raises(ParameterError) as refused:
            flat({"bbox": bbox})
        assert refused.value.parameter == "bbox"

    def test_the_system_may_be_named(self):
        assert flat({"bbox": "1,2,3,4", "bbox-crs": CRS84}) == {"bbox": "1,2,3,4"}
        for crs in (CRS84, CRS84H):
            assert flat({"bbox": "1,2,0,3,4,5", "bbox-crs": crs}) == {"bbox": "1,2,3,4"}

    @pytest.mark.parametrize(
        ("bbox", "crs"),
        [("1,2,3,4", CRS84H), ("1,2,3,4", "http://www.opengis.net/def/crs/EPSG/0/4326"), ("1,2,3,4", ""), ("", "x")],
    )
    def test_another_is_refused(self, bbox, crs):
        with pytest.raises(ParameterError) as refused:
            flat({"bbox": bbox, "bbox-crs": crs})
        assert refused.value.parameter == "bbox-crs"
