"""Who may ask for what."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from mobility.people.models import Role, User


def is_operator(user: User) -> bool:
    """Whether the user runs the service: staff, or in the role of an operator."""
    return user.is_staff or Role.OPERATOR.value in user.roles


class IsOperator(BasePermission):
    """Logged in, and an operator or staff."""

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002
        """Whether this request may go on."""
        return isinstance(request.user, User) and is_operator(request.user)
