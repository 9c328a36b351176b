"""Fixtures: those of tests/rest.py, a provider, and places of South Africa."""

import pytest

from geo.coordinates import lat_lon, point
from mobility.models import Place
from mobility.places import backend
from mobility.places.folding import folded
from tests.places.provider import providing
from tests.rest import api, empty_cache, quick_hashes, set_knobs

__all__ = ["api", "empty_cache", "quick_hashes", "set_knobs"]

# Each with its label, kind, latitude, longitude and importance.
SOUTH_AFRICA = [
    ("Cape Town", "Cape Town, Western Cape", "city", -33.9258, 18.4232, 0.8),
    ("Johannesburg", "Johannesburg, Gauteng", "city", -26.2041, 28.0473, 0.8),
    ("Bloemfontein", "Bloemfontein, Free State", "city", -29.1164, 26.2155, 0.6),
    ("Long Street", "Long Street, Cape Town City Centre, Cape Town", "street", -33.9235, 18.4179, 0.3),
    ("Long Street", "Long Street, Kempton Park, Gauteng", "street", -26.0987, 28.2337, 0.1),
    ("Groote Schuur Hospital", "Groote Schuur Hospital, Observatory, Cape Town", "hospital", -33.9412, 18.4653, 0.4),
    ("Chris Hani Baragwanath", "Chris Hani Baragwanath Hospital, Diepkloof", "hospital", -26.2610, 27.9420, 0.5),
    ("Gqeberha", "Gqeberha (Port Elizabeth), Eastern Cape", "city", -33.9608, 25.6022, 0.6),
    ("Môrester", "Môrester Kliniek, Stellenbosch", "clinic", -33.9346, 18.8610, 0.2),
]  # fmt: skip


@pytest.fixture
def provider():
    """A provider that is well."""
    with providing() as running:
        yield running


@pytest.fixture
def nominatim(settings, provider):
    """The service asks this provider, as often as it likes."""
    settings.GEOCODER = "nominatim"
    settings.GEOCODER_OPTIONS = provider.options
    settings.GEOCODER_USER_AGENT = "careconnect-tests (ops@example.org)"
    settings.GEOCODER_RATE_PER_S = 10_000.0
    yield provider
    backend._made.clear()


def add_places(rows=SOUTH_AFRICA, source="test"):
    Place.objects.bulk_create(
        Place(
            name=name, label=label, kind=kind, position=point(lat_lon(latitude, longitude)), importance=importance,
            folded=folded(label) if folded(name) in folded(label) else folded(f"{name} {label}"), source=source,
            source_id=str(number),
        )
        for number, (name, label, kind, latitude, longitude, importance) in enumerate(rows)
    )  # fmt: skip


@pytest.fixture
def gazetteer(settings, db):
    """The service asks its own table."""
    settings.GEOCODER = "gazetteer"
    add_places()
