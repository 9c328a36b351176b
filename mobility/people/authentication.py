"""How REST requests say who sends them: a login token in a header, or the session cookie of our own pages."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request

from mobility.people.credentials import MAX_CREDENTIAL_LENGTH, Principal, valid_token
from mobility.people.models import User

_SCHEMES = {"token", "bearer"}


class TokenAuthentication(authentication.BaseAuthentication):
    """`Authorization: Token <token>` or `Bearer <token>`. A token that does not hold is refused, never ignored."""

    def authenticate(self, request: Request) -> tuple[User, Any] | None:
        """The user and the token's row; None when there is no such header."""
        words = request.META.get("HTTP_AUTHORIZATION", "")[: 2 * MAX_CREDENTIAL_LENGTH].split()
        if not words or words[0].lower() not in _SCHEMES:
            return None
        row = valid_token(words[1]) if len(words) == 2 else None
        if row is None:
            raise AuthenticationFailed("The token is unknown, expired or revoked.")
        return row.user, row

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002
        """Makes a missing credential 401 and not 403."""
        return "Token"


class SessionAuthentication(authentication.SessionAuthentication):
    """The session of someone logged in to our pages; what changes something needs the CSRF token as well."""

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002
        """Makes a missing credential 401 and not 403."""
        return "Session"


def user_of(request: Request) -> User:
    """Who sent a request that only logged in people may send."""
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user


def token_of(request: Request) -> Any | None:
    """The row of the token a request was sent with; None when it was a session."""
    return request.auth


def principal_of(request: Request) -> Principal:
    """Who sent an authenticated REST request, as sockets know people."""
    user, token = user_of(request), token_of(request)
    if token is not None:
        return Principal(user.pk, user.display_name, token_digest=token.digest)
    return Principal(user.pk, user.display_name, session_key=request.session.session_key or "")


class TokenScheme(OpenApiAuthenticationExtension):
    """How the schema describes the token."""

    target_class = "mobility.people.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:  # noqa: ARG002
        """An OpenAPI security scheme."""
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token <token>` (or `Bearer <token>`) with the token that login answered.",
        }


class SessionScheme(OpenApiAuthenticationExtension):
    """How the schema describes the session."""

    target_class = "mobility.people.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:  # noqa: ARG002
        """An OpenAPI security scheme."""
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "The session of the admin pages. Unsafe methods also need the CSRF token.",
        }
