"""Index of every HTTP path of the product."""

from django.templatetags.static import static
from django.urls import path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerSplitView

from mobility.areas.api import ServiceAreasView
from mobility.bookings.api import BookingsView
from mobility.demand.api import DemandView
from mobility.dispatch.api import AssignView, BookingView, CancelView, CompleteView, ExplainView
from mobility.drivers.api import MeView
from mobility.health import healthz, readyz
from mobility.locations.api import DriverHistoryView, DriversView, DriverView
from mobility.locations.doors import FleetLocationsView, OwnLocationsView, TrackerView
from mobility.ogc.api import (
    CollectionsView,
    CollectionView,
    ConformanceView,
    DefinitionView,
    ItemsView,
    ItemView,
    LandingView,
)
from mobility.openapi import SchemaView
from mobility.pages import landing, problems
from mobility.people.api import LoginView, LogoutView, RegisterView, TicketView
from mobility.places.api import GeocodeView, ReverseView
from mobility.tiles.api import PbfView, TileJSONView, TileView
from mobility.tiles.page import layers_page
from mobility.trips.api import TrackView

urlpatterns = [
    path("", landing, name="landing"),
    path("favicon.ico", RedirectView.as_view(url=static("mobility/icon.svg"))),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("tiles/", layers_page, name="layers"),
    path("api/v1/auth/register/", RegisterView.as_view(), name="register"),
    path("api/v1/auth/login/", LoginView.as_view(), name="login"),
    path("api/v1/auth/logout/", LogoutView.as_view(), name="logout"),
    path("api/v1/auth/ws-ticket/", TicketView.as_view(), name="ws-ticket"),
    path("api/v1/me/", MeView.as_view(), name="me"),
    path("api/v1/drivers/", DriversView.as_view(), name="drivers"),
    path("api/v1/drivers/<int:pk>/", DriverView.as_view(), name="driver"),
    path("api/v1/drivers/<int:pk>/history/", DriverHistoryView.as_view(), name="driver-history"),
    path("api/v1/drivers/me/locations/", OwnLocationsView.as_view(), name="own-locations"),
    path("api/v1/locations/", FleetLocationsView.as_view(), name="fleet-locations"),
    path("api/v1/track/", TrackerView.as_view(), name="track"),
    path("api/v1/bookings/", BookingsView.as_view(), name="bookings"),
    path("api/v1/bookings/<int:pk>/", BookingView.as_view(), name="booking"),
    path("api/v1/bookings/<int:pk>/cancel/", CancelView.as_view(), name="cancel-booking"),
    path("api/v1/bookings/<int:pk>/assign/", AssignView.as_view(), name="assign-booking"),
    path("api/v1/bookings/<int:pk>/complete/", CompleteView.as_view(), name="complete-booking"),
    path("api/v1/bookings/<int:pk>/explain/", ExplainView.as_view(), name="explain-booking"),
    path("api/v1/bookings/<int:pk>/track/", TrackView.as_view(), name="booking-track"),
    path("api/v1/service-areas/", ServiceAreasView.as_view(), name="service-areas"),
    path("tiles/<str:layer>.json", TileJSONView.as_view(), name="tilejson"),
    path("tiles/<str:layer>/<int:z>/<int:x>/<int:y>.mvt", TileView.as_view(), name="tile"),
    path("tiles/<str:layer>/<int:z>/<int:x>/<int:y>.pbf", PbfView.as_view(), name="tile-pbf"),
    path("api/v1/demand/", DemandView.as_view(), name="demand"),
    path("api/v1/geocode/", GeocodeView.as_view(), name="geocode"),
    path("api/v1/geocode/reverse/", ReverseView.as_view(), name="geocode-reverse"),
    path("ogc/", LandingView.as_view(), name="ogc-landing"),
    path("ogc/conformance", ConformanceView.as_view(), name="ogc-conformance"),
    path("ogc/api", DefinitionView.as_view(), name="ogc-api"),
    path("ogc/collections", CollectionsView.as_view(), name="ogc-collections"),
    path("ogc/collections/<str:collection>", CollectionView.as_view(), name="ogc-collection"),
    path("ogc/collections/<str:collection>/items", ItemsView.as_view(), name="ogc-items"),
    path("ogc/collections/<str:collection>/items/<str:feature_id>", ItemView.as_view(), name="ogc-item"),
    path("api/v1/problems/", problems, name="problems"),
    path("api/v1/schema/", SchemaView.as_view(), name="schema"),
    path("api/v1/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
]
