"""Which credentials hold, for whom, and for how long."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from knox.models import AuthToken

from mobility.models import SocketTicket, User
from mobility.people.credentials import (
    GUEST,
    Principal,
    issue_ticket,
    principal_for_session,
    principal_for_token,
    redeem_ticket,
    still_valid,
    valid_token,
)
from tests.rest import token_of

JUNK = ["", "\0", "x\0y", "é" * 20, "\ud800", "x" * 10_000, "a b", "'; DROP TABLE", "\n", "0" * 64]


def log_in_session(user: User) -> tuple[Client, str]:
    client = Client()
    client.force_login(user)
    return client, client.session.session_key


@pytest.mark.django_db
class TestTokens:
    def test_a_fresh_token_names_its_user(self, make_user):
        user = make_user(first_name="Sarah", last_name="Johnson")
        token = token_of(user)
        principal = principal_for_token(token)
        assert principal == Principal(user.pk, "Sarah Johnson", token_digest=AuthToken.objects.get().digest)
        assert not principal.is_guest

    def test_its_row_and_user_are_whole(self, make_user, django_assert_num_queries):
        """They come from a statement of our own, which a new column must not pass by."""
        user = make_user(first_name="Sarah", roles=["driver", "passenger"])
        found, stored = valid_token(token_of(user)), AuthToken.objects.get()
        with django_assert_num_queries(0):
            for ours, theirs in ((found, stored), (found.user, user)):
                assert (ours, ours.get_deferred_fields(), ours._state.adding) == (theirs, set(), False)
                for field in ours._meta.concrete_fields:
                    assert getattr(ours, field.attname) == getattr(theirs, field.attname), field

    @pytest.mark.parametrize("junk", JUNK)
    def test_junk_is_nobody(self, junk):
        assert principal_for_token(junk) is None
        assert principal_for_session(junk) is None
        assert redeem_ticket(junk) is None

    def test_a_token_with_one_letter_changed_is_nobody(self, make_user):
        token = token_of(make_user())
        changed = token[:-1] + ("0" if token[-1] != "0" else "1")
        assert principal_for_token(changed) is None
        assert principal_for_token(token[:15]) is None
        assert principal_for_token(token + "0") is None

    def test_an_expired_token_is_nobody(self, make_user):
        token = token_of(make_user())
        AuthToken.objects.update(expiry=Now())
        assert principal_for_token(token) is None

    def test_the_token_of_an_inactive_user_is_nobody(self, make_user):
        user = make_user()
        token = token_of(user)
        User.objects.update(is_active=False)
        assert principal_for_token(token) is None

    def test_what_is_stored_is_not_the_token(self, make_user):
        token = token_of(make_user())
        row = AuthToken.objects.get()
        assert token not in (row.digest, row.token_key)
        assert row.token_key == token[:15]

    def test_a_principal_in_a_log_line_shows_its_number_only(self, make_user):
        user = make_user(first_name="Sarah")
        assert repr(principal_for_token(token_of(user))) == f"Principal(user_id={user.pk}, ride_id=None)"


@pytest.mark.django_db
class TestSessions:
    def test_a_session_names_its_user(self, make_user):
        user = make_user()
        _, key = log_in_session(user)
        assert principal_for_session(key) == Principal(user.pk, user.display_name, session_key=key)

    def test_a_session_that_was_logged_out_is_nobody(self, make_user):
        client, key = log_in_session(make_user())
        client.logout()
        assert principal_for_session(key) is None

    def test_an_anonymous_session_is_nobody(self):
        session = Client().session
        session["cart"] = 1
        session.save()
        assert principal_for_session(session.session_key) is None

    def test_a_new_password_ends_the_session(self, make_user):
        user = make_user()
        _, key = log_in_session(user)
        held = principal_for_session(key)
        user.set_password("another one 1")
        user.save()
        assert principal_for_session(key) is None
        assert still_valid([held]) == set()

    def test_the_session_of_an_inactive_user_is_nobody(self, make_user):
        _, key = log_in_session(make_user())
        User.objects.update(is_active=False)
        assert principal_for_session(key) is None


@pytest.mark.django_db
class TestTickets:
    def test_a_ticket_opens_once_as_its_user_for_its_ride(self, make_user):
        user = make_user()
        principal = principal_for_token(token_of(user))
        ticket, _ = issue_ticket(principal, "ride-7")
        assert redeem_ticket(ticket) == Principal(
            user.pk, user.display_name, token_digest=principal.token_digest, ride_id="ride-7"
        )
        assert redeem_ticket(ticket) is None

    def test_a_ticket_asked_for_with_a_session_depends_on_that_session(self, make_user):
        client, key = log_in_session(make_user())
        first, _ = issue_ticket(principal_for_session(key))
        second, _ = issue_ticket(principal_for_session(key))
        held = redeem_ticket(first)
        assert held.session_key == key
        assert held.token_digest == ""
        client.logout()
        assert redeem_ticket(second) is None
        assert still_valid([held]) == set()

    def test_only_a_digest_is_stored(self, make_user):
        ticket, _ = issue_ticket(Principal(make_user().pk))
        assert ticket not in str(SocketTicket.objects.values().get())

    def test_an_expired_ticket_opens_nothing(self, make_user):
        ticket, _ = issue_ticket(Principal(make_user().pk))
        SocketTicket.objects.update(expires_at=Now())
        assert redeem_ticket(ticket) is None

    def test_it_lives_as_long_as_the_setting_says(self, make_user, set_knobs):
        set_knobs(ticket_ttl_s=90)
        _, expires_at = issue_ticket(Principal(make_user().pk))
        row = SocketTicket.objects.get()
        assert row.expires_at == expires_at
        assert timedelta(seconds=89) < row.expires_at - row.created_at < timedelta(seconds=91)

    def test_expired_tickets_go_when_a_new_one_is_issued(self, make_user):
        user = make_user()
        issue_ticket(Principal(user.pk))
        SocketTicket.objects.update(expires_at=Now())
        issue_ticket(Principal(user.pk))
        assert SocketTicket.objects.count() == 1

    @pytest.mark.parametrize("ended", ["inactive", "token revoked"])
    def test_a_ticket_is_worth_nothing_once_its_login_ended(self, make_user, ended):
        user = make_user()
        ticket, _ = issue_ticket(principal_for_token(token_of(user)))
        if ended == "inactive":
            User.objects.update(is_active=False)
        else:
            AuthToken.objects.all().delete()
        assert redeem_ticket(ticket) is None


def test_of_many_who_redeem_one_ticket_at_once_one_is_let_in(committed_db, make_user):
    ticket, _ = issue_ticket(Principal(make_user().pk))

    def redeem(_):
        try:
            return redeem_ticket(ticket)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(redeem, range(24)))
    assert sum(result is not None for result in results) == 1


@pytest.mark.django_db
class TestStillValid:
    def test_it_asks_at_most_three_questions_for_any_number(self, make_user, django_assert_max_num_queries):
        held = [GUEST]
        for _ in range(5):
            user = make_user()
            held += [principal_for_token(token_of(user)), principal_for_session(log_in_session(user)[1])]
        held.append(Principal(user.pk, token_digest=held[1].token_digest))
        with django_assert_max_num_queries(3):
            assert still_valid(held) == set(held)

    def test_it_finds_each_way_to_end(self, make_user):
        gone, expired, inactive, out, fine = (make_user() for _ in range(5))
        principals = {u.pk: principal_for_token(token_of(u)) for u in (gone, expired, inactive, fine)}
        client, key = log_in_session(out)
        principals[out.pk] = principal_for_session(key)
        AuthToken.objects.filter(user=gone).delete()
        AuthToken.objects.filter(user=expired).update(expiry=Now())
        User.objects.filter(pk=inactive.pk).update(is_active=False)
        client.logout()
        assert still_valid([GUEST, *principals.values()]) == {GUEST, principals[fine.pk]}

    def test_nobody_asks_nothing(self, django_assert_num_queries):
        with django_assert_num_queries(0):
            assert still_valid([]) == set()
            assert still_valid([GUEST]) == {GUEST}


@pytest.mark.django_db
def test_holds_says_the_same_as_still_valid(make_user):
    from mobility.people.credentials import GUEST, Principal, holds, principal_for_token, still_valid

    def token(user, **lives):
        return principal_for_token(AuthToken.objects.create(user, **lives)[1])

    alive, expired, revoked, suspended = (token(make_user()) for _ in range(4))
    AuthToken.objects.filter(digest=expired.token_digest).update(expiry=Now() - timedelta(seconds=1))
    AuthToken.objects.filter(digest=revoked.token_digest).delete()
    User.objects.filter(pk=suspended.user_id).update(is_active=False)
    strange = Principal(alive.user_id, token_digest="0" * 128)
    asked = [GUEST, alive, expired, revoked, suspended, strange]
    assert [holds(p) for p in asked] == [p in still_valid(asked) for p in asked] == [True, True, *[False] * 4]
