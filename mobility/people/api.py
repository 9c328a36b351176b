"""Accounts over REST: register, log in, log out, a ticket for a socket."""

from typing import Any

from drf_spectacular.utils import OpenApiExample
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from mobility.conf import knobs
from mobility.people import services
from mobility.people.authentication import principal_of, token_of, user_of
from mobility.people.credentials import issue_ticket
from mobility.people.models import Role, User
from mobility.people.phones import masked_phone
from mobility.rest import PersonalView, StrictSerializer, checked, documented

PASSWORD_LENGTH = 256


class MaskedPhoneField(serializers.CharField):
    """A phone number that only its owner would recognise."""

    def to_representation(self, value: Any) -> str:
        """The number with its middle hidden."""
        return masked_phone(str(value))


class UserBody(serializers.ModelSerializer[User]):
    """A person as they see themselves."""

    roles = serializers.ListField(child=serializers.ChoiceField(choices=Role.choices))

    class Meta:
        model = User
        fields = ["id", "username", "phone", "first_name", "last_name", "roles"]
        read_only_fields = fields


class RegisterForm(StrictSerializer):
    """What a new passenger tells."""

    phone = serializers.CharField(max_length=32, help_text="International form; spaces and dashes are fine.")
    password = serializers.CharField(max_length=PASSWORD_LENGTH, trim_whitespace=False, write_only=True)
    username = serializers.CharField(max_length=150, required=False, allow_blank=True, help_text="Default: the phone.")
    first_name = serializers.CharField(max_length=150, required=False, allow_blank=True)
    last_name = serializers.CharField(max_length=150, required=False, allow_blank=True)


class LoginForm(StrictSerializer):
    """Who wants to log in."""

    username = serializers.CharField(max_length=150, help_text="The username or the phone number.")
    password = serializers.CharField(max_length=PASSWORD_LENGTH, trim_whitespace=False, write_only=True)


class LoginBody(serializers.Serializer[services.Login]):
    """A login token: told once, stored only as a digest."""

    token = serializers.CharField()
    expiry = serializers.DateTimeField()
    user = UserBody()


class TicketForm(StrictSerializer):
    """For which ride the ticket is; without it, for any socket of this user."""

    ride_id = serializers.RegexField(
        r"^[A-Za-z0-9_-]{1,64}\Z", required=False, trim_whitespace=False, help_text="Opens this ride only."
    )


class TicketBody(serializers.Serializer[Any]):
    """A single-use key for one socket."""

    ticket = serializers.CharField()
    expires_at = serializers.DateTimeField()
    expires_in = serializers.FloatField(help_text="Seconds.")


_USER = {
    "id": 7, "username": "sarah", "phone": "+27821234567", "first_name": "Sarah", "last_name": "Johnson",
    "roles": ["passenger"],
}  # fmt: skip
_LOGIN = {"token": "0f1e2d3c…", "expiry": "2026-01-31T08:00:00.000000Z", "user": _USER}


class RegisterView(PersonalView):
    """Open an account."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @documented(
        "invalid_json", "missing_field", "invalid_field", "forbidden_field", "phone_taken", "too_many_tries",
        operation_id="register", tags=["accounts"], request=RegisterForm, responses={201: LoginBody},
        summary="Open an account as a passenger",
        examples=[
            OpenApiExample(
                "A passenger", {"phone": "+27821234567", "password": "correct horse", "first_name": "Sarah"},
                request_only=True,
            ),
            OpenApiExample("Registered and logged in", _LOGIN, response_only=True, status_codes=["201"]),
        ],
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Registers a passenger and logs them in. Drivers and operators are made by operators."""
        login = services.register_passenger(**checked(RegisterForm, request), address=request.META["REMOTE_ADDR"])
        return Response(LoginBody(login).data, status=201)


class LoginView(PersonalView):
    """Log in."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @documented(
        "invalid_json", "missing_field", "invalid_field", "forbidden_field", "wrong_login", "too_many_tries",
        operation_id="login", tags=["accounts"], request=LoginForm, responses={200: LoginBody},
        summary="Log in with username or phone",
        examples=[
            OpenApiExample(
                "The demo's driver", {"username": "driver1", "password": "password123"}, request_only=True
            ),
            OpenApiExample("Logged in", _LOGIN, response_only=True),
        ],
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Answers a token for the Authorization header. An unknown account, a wrong password and a closed account
        are told apart by nothing."""
        login = services.log_in(**checked(LoginForm, request), address=request.META["REMOTE_ADDR"])
        return Response(LoginBody(login).data)


class LogoutView(PersonalView):
    """Log out."""

    @documented(
        "unauthenticated", "forbidden",
        operation_id="logout", tags=["accounts"], request=None, responses={204: None}, summary="Log out",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Revokes the token (or ends the session) that the request was sent with; the user's sockets close."""
        token = token_of(request)
        if token is None:
            services.end_session(request._request)
        else:
            services.log_out(user_of(request), token)
        return Response(status=204)


class TicketView(PersonalView):
    """A ticket for a socket."""

    @documented(
        "invalid_json", "invalid_field", "forbidden_field", "unauthenticated", "forbidden",
        operation_id="ws_ticket", tags=["accounts"], request=TicketForm, responses={200: TicketBody},
        summary="A single-use ticket that opens a socket",
        examples=[
            OpenApiExample("For one ride", {"ride_id": "12345"}, request_only=True),
            OpenApiExample(
                "Ticket",
                {"ticket": "Zr2…", "expires_at": "2026-01-01T08:00:30.000000Z", "expires_in": 30.0},
                response_only=True,
            ),
        ],
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """For clients that cannot send headers: open `/ws/ride/<ride_id>/?ticket=…` within the half minute."""
        ticket, expires_at = issue_ticket(principal_of(request), **checked(TicketForm, request))
        body = TicketBody({"ticket": ticket, "expires_at": expires_at, "expires_in": knobs().ticket_ttl_s})
        return Response(body.data)
