"""What people do with their accounts: register, log in, log out; and what operators do with them."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import structlog
from django.contrib.auth import authenticate, logout
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.http import HttpRequest
from knox.models import get_token_model

from mobility import events
from mobility.conf import knobs
from mobility.errors import Refusal, refusal_for
from mobility.people.models import Role, User
from mobility.people.phones import checked_phone, normalised_phone
from mobility.people.throttle import (
    HOUR_S,
    QUARTER_HOUR_S,
    Limit,
    address_key,
    give_back,
    retry_after_s,
    spend,
)
from mobility.transactions import state_change

log = structlog.get_logger(__name__)
# One address may fail for several accounts (a clinic behind one router), one account from several addresses (its owner
# on the move). Beyond these multiples of `logins_per_quarter_hour` somebody is guessing.
ADDRESS_SHARE = 5
ACCOUNT_SHARE = 10


class Login(NamedTuple):
    """A fresh login token, told this once, and when it expires."""

    token: str
    expiry: datetime
    user: User


def register_passenger(
    *, phone: str, password: str, username: str = "", first_name: str = "", last_name: str = "", address: str
) -> Login:
    """A new passenger, logged in. Without a username the phone is the username.

    Refusals: `invalid_field` naming it, `phone_taken` (the phone or the username), `too_many_tries` per address.
    """
    _limit_registrations(address)
    user = User(
        phone=checked_phone(phone), first_name=first_name, last_name=last_name, roles=[Role.PASSENGER.value]
    )  # fmt: skip
    user.username = checked_username(username, user.phone) if username else user.phone
    _check_password(password, user)
    # Hashing takes a third of a second: before the transaction, which is short.
    user.set_password(password)
    return _insert(user)


@state_change
def _insert(user: User) -> Login:
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:
        raise refusal_for(error) or error from None
    log.info("user_registered", user_id=user.pk)
    return _with_token(user)


def checked_username(username: str, phone: str) -> str:
    """The username, refused when it could be taken for another person's phone number: people log in with either."""
    username = User.normalize_username(username)
    as_phone = normalised_phone(username)
    if as_phone is not None and as_phone != phone:
        raise Refusal("invalid_field", "A username must not be somebody else's phone number.", field="username")
    if as_phone is None and re.fullmatch(r"[\w.@+-]{1,150}", username) is None:
        raise Refusal("invalid_field", "Letters, digits and . @ + - _ only, at most 150.", field="username")
    return username if as_phone is None else as_phone


def _check_password(password: str, user: User) -> None:
    try:
        validate_password(password, user)
    except ValidationError as weak:
        raise Refusal("invalid_field", " ".join(weak.messages), field="password") from None


def _limit_registrations(address: str) -> None:
    limit = Limit("register", address_key(address), knobs().registrations_per_hour, HOUR_S)
    if spend([limit]) is not None:
        raise Refusal("too_many_tries", retry_after_s=retry_after_s(limit))


def log_in(username: str, password: str, address: str) -> Login:
    """A token for the active account with this username or phone and this password.

    Refusals: `wrong_login`, the same for an unknown account, a wrong password and an inactive account;
    `too_many_tries` after too many failures for the account or from the address.
    """
    user = verified_user(username, password, address)
    return _token_unless_changed(user)


def verified_user(username: str, password: str, address: str, request: HttpRequest | None = None) -> User:
    """The active user with this username or phone and this password; refusals as in `log_in`.

    The try is counted before the password is looked at, so that simultaneous guesses cannot slip through together, and
    given back when it was right.
    """
    name = normalised_phone(username) or User.normalize_username(username)
    limits = _login_limits(name, address)
    exhausted = spend(limits)
    if exhausted is not None:
        log.info("login_throttled", scope=exhausted.scope)
        raise Refusal("too_many_tries", retry_after_s=retry_after_s(exhausted))
    user = authenticate(request, username=name, password=password)
    if not isinstance(user, User):
        raise Refusal("wrong_login")
    give_back(limits)
    return user


def _login_limits(name: str, address: str) -> list[Limit]:
    account, where, limit = _account_key(name), address_key(address), knobs().logins_per_quarter_hour
    return [
        Limit("login", f"{account} {where}", limit, QUARTER_HOUR_S),
        Limit("login-address", where, ADDRESS_SHARE * limit, QUARTER_HOUR_S),
        Limit("login-account", account, ACCOUNT_SHARE * limit, QUARTER_HOUR_S),
    ]


def _account_key(name: str) -> str:
    """One key for an account, whether it is named by username or by phone."""
    known = None
    if "\x00" not in name:
        known = (
            User.objects.filter(Q(username=name) | Q(phone=name)).order_by("pk").values_list("pk", flat=True).first()
        )
    return f"name {name}" if known is None else f"user {known}"


@state_change
def _token_unless_changed(user: User) -> Login:
    """A token, unless the account was closed or got another password while this one was being verified."""
    now = User.objects.select_for_update(no_key=True).filter(pk=user.pk, is_active=True, password=user.password).first()
    if now is None:
        raise Refusal("wrong_login")
    get_token_model().objects.filter(user=now, expiry__lte=Now()).delete()
    User.objects.filter(pk=now.pk).update(last_login=Now())
    log.info("user_logged_in", user_id=now.pk)
    return _with_token(now)


def _with_token(user: User) -> Login:
    row, token = get_token_model().objects.create(user=user)
    return Login(token, row.expiry, user)


@state_change
def log_out(user: User, token: Any) -> None:
    """Revoke this login token; the sockets of the user close."""
    get_token_model().objects.filter(pk=token.pk).delete()
    events.publish(events.UserSignedOut(user.pk))
    log.info("user_logged_out", user_id=user.pk)


@state_change
def end_session(request: HttpRequest) -> None:
    """End the browser session of this request; the sockets of its user close."""
    user_id = request.user.pk
    logout(request)
    if user_id is not None:
        events.publish(events.UserSignedOut(user_id))
        log.info("user_logged_out", user_id=user_id)


@state_change
def sign_out_everywhere(user_id: int) -> None:
    """Revoke every login token of a user; their sockets close. After a suspension or a new password."""
    get_token_model().objects.filter(user_id=user_id).delete()
    events.publish(events.UserSignedOut(user_id))
    log.info("user_signed_out_everywhere", user_id=user_id)


@state_change
def suspend_user(user_id: int) -> None:
    """Close an account until an operator opens it again: no login, no token, no socket."""
    User.objects.filter(pk=user_id).update(is_active=False)
    sign_out_everywhere(user_id)


@state_change
def save_account(user_id: int | None, save: Callable[[], Any]) -> None:
    """Store an edited account with `save`; a suspension or a new password ends its tokens and sockets."""
    if user_id is None:
        save()
        return
    before = User.objects.select_for_update(no_key=True).get(pk=user_id)
    save()
    after = User.objects.only("password", "is_active").get(pk=user_id)
    if after.password != before.password or (before.is_active and not after.is_active):
        sign_out_everywhere(user_id)
