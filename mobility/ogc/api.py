"""The pages of OGC API Features, each in JSON and HTML."""

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request

from geo.ogc.links import OPENAPI
from mobility.ogc import documents
from mobility.ogc.items import item, items
from mobility.ogc.openapi import definition, operations
from mobility.ogc.pages import OgcView, here, page, wanted_form
from mobility.ogc.readers import MayList, MayRead, known, readable
from mobility.people.permissions import is_key
from mobility.rest import query_of

# Their definition is a document of their own: /ogc/api.
_own_document = extend_schema(exclude=True)


@_own_document
class LandingView(OgcView):
    """Where everything is, for everybody."""

    permission_classes = (AllowAny,)

    def get(self, request: Request) -> HttpResponseBase:
        """The page."""
        form = wanted_form(request, query_of(request, "f"))
        return page(request, form, "landing", documents.landing(request), address=here(request, "ogc-landing"))


@_own_document
class ConformanceView(OgcView):
    """What of the standard is kept, for everybody."""

    permission_classes = (AllowAny,)

    def get(self, request: Request) -> HttpResponseBase:
        """The page."""
        form = wanted_form(request, query_of(request, "f"))
        return page(request, form, "conformance", documents.conformance(request))


@_own_document
class DefinitionView(OgcView):
    """The API's definition, for everybody."""

    permission_classes = (AllowAny,)

    def get(self, request: Request) -> HttpResponseBase:
        """The document, or a page that tells what is in it."""
        form = wanted_form(request, query_of(request, "f"))
        document = definition(request)
        return page(request, form, "definition", document, media_type=OPENAPI, operations=operations(document))


@_own_document
class CollectionsView(OgcView):
    """The collections that one may read."""

    permission_classes = (MayList,)

    def get(self, request: Request) -> HttpResponseBase:
        """The list."""
        form = wanted_form(request, query_of(request, "f"))
        key = is_key(request)
        return page(request, form, "collections", documents.listed(request, readable(request), key=key))


class _OfCollection(OgcView):
    permission_classes = (MayRead,)


@_own_document
class CollectionView(_OfCollection):
    """One collection."""

    def get(self, request: Request, collection: str) -> HttpResponseBase:
        """What it holds and how far it reaches."""
        form, found, key = wanted_form(request, query_of(request, "f")), known(collection), is_key(request)
        fields: Any = found.layer.chosen(found.shown(key=key))
        return page(request, form, "collection", documents.described(request, found, key=key), fields=fields)


@_own_document
class ItemsView(_OfCollection):
    """The features of a collection."""

    def get(self, request: Request, collection: str) -> HttpResponseBase:
        """A page of them."""
        return items(request, known(collection))


@_own_document
class ItemView(_OfCollection):
    """A feature."""

    def get(self, request: Request, collection: str, feature_id: str) -> HttpResponseBase:
        """It."""
        return item(request, known(collection), feature_id)
