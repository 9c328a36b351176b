"""Who may read which collection: operators all of them, a key those that its scopes name, others none."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from mobility.errors import Refusal
from mobility.ogc.collections import COLLECTIONS, Collection
from mobility.people.models import ApiKey
from mobility.people.permissions import IsOperator, IsOperatorOrScope


class MayList(BasePermission):
    """Operators, or any key: the list holds what a key may read."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether this request may go on."""
        return isinstance(request.auth, ApiKey) or IsOperator().has_permission(request, view)


class MayRead(BasePermission):
    """Operators, or a key with the scope of the collection."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether this request may go on; a key is told what it lacks, and to it an unknown collection is one that it
        may not read."""
        found = COLLECTIONS.get(view.kwargs["collection"])
        allowed = IsOperatorOrScope(found.scope) if found else IsOperator
        return allowed().has_permission(request, view)


def readable(request: Request) -> list[Collection]:
    """The collections that this reader may read."""
    if not isinstance(request.auth, ApiKey):
        return list(COLLECTIONS.values())
    return [found for found in COLLECTIONS.values() if found.scope.value in request.auth.scopes]


def known(name: str) -> Collection:
    """The collection with this id, or the refusal."""
    found = COLLECTIONS.get(name)
    if found is None:
        raise Refusal("not_found", f"There is no collection {name[:50]}; there are {', '.join(COLLECTIONS)}.")
    return found
