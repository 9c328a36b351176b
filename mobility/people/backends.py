"""Logging in with a username or a phone number."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.db.models import Q
from django.http import HttpRequest

from mobility.connections import give_back
from mobility.people.models import User


class UsernameOrPhoneBackend(ModelBackend):
    """Accepts `username` or the phone in E.164; works as long for an unknown account as for a known one."""

    def authenticate(
        self,
        request: HttpRequest | None,  # noqa: ARG002 (Django's signature)
        username: str | None = None,
        password: str | None = None,
        **_fields: Any,
    ) -> User | None:
        """The active user with this password, or None."""
        if not username or password is None or "\x00" in username:
            return None
        user = User.objects.filter(Q(username=username) | Q(phone=username)).order_by("-username").first()
        give_back()  # hashing takes a third of a second: rides need the pool meanwhile
        if user is None:
            # Hash anyway: without this, unknown accounts answer sooner than known ones.
            User().set_password(password)
            return None
        return user if user.check_password(password) and self.user_can_authenticate(user) else None
