"""Who may ask for what: people by their role, keys by their scopes."""

from typing import Any, ClassVar

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from mobility.errors import Refusal
from mobility.people.models import ApiKey, Role, Scope, User


def is_operator(user: User) -> bool:
    """Whether the user runs the service: staff, or in the role of an operator."""
    return user.is_staff or Role.OPERATOR.value in user.roles


class IsOperator(BasePermission):
    """Logged in, and an operator or staff."""

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002
        """Whether this request may go on."""
        return isinstance(request.user, User) and is_operator(request.user)


class _PersonOrScope(BasePermission):
    """People as they are let in, or a key with the scope."""

    scope: ClassVar[Scope]

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002
        """Whether this request may go on; a key is told what it lacks."""
        if isinstance(request.auth, ApiKey):
            return _key_may(request.auth, request.method or "", self.scope)
        return isinstance(request.user, User) and self.lets_in(request.user)

    def lets_in(self, user: User) -> bool:  # noqa: ARG002
        """Whether this person may go on: anybody who is logged in."""
        return True


def _key_may(key: ApiKey, method: str, scope: Scope) -> bool:
    if method not in SAFE_METHODS:
        raise Refusal("forbidden", "A key only reads.")
    if scope.value not in key.scopes:
        raise Refusal("forbidden", f"This key lacks the scope {scope.value}.")
    return True


class _OperatorOrScope(_PersonOrScope):
    """Operators and staff, or a key with the scope."""

    def lets_in(self, user: User) -> bool:
        """Whether this person may go on: who runs the service."""
        return is_operator(user)


def HasScope(scope: Scope | str) -> type[BasePermission]:  # noqa: N802 (used like a permission class)
    """Anybody who is logged in, or a key with this scope."""
    return type("HasScope", (_PersonOrScope,), {"scope": Scope(scope)})


def IsOperatorOrScope(scope: Scope | str) -> type[BasePermission]:  # noqa: N802 (used like a permission class)
    """Operators and staff, or a key with this scope; other people are refused."""
    return type("IsOperatorOrScope", (_OperatorOrScope,), {"scope": Scope(scope)})


def is_key(request: Request) -> bool:
    """Whether a key asks, and no person: who does not need names and numbers."""
    return isinstance(request.auth, ApiKey)
