"""The admin's pages: what may be done with each model, and by whom."""

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.test import RequestFactory
from django.urls import reverse

from mobility.admin import site
from mobility.models import User
from tests.permissions.table import REVIEW, differences, table

ADMIN: dict[str, str] = table()["admin"]
ACTIONS = ("view", "add", "change", "delete")
OTHERS = ("anonymous", "passenger", "driver", "operator", "key:drivers:read")
_USUAL = {"changelist", "add", "history", "delete", "change"}


def actions_of(model_admin, user):
    """What a superuser may do with a model there, and which pages of its own it has."""
    request = RequestFactory().get("/")
    request.user = user
    usual = [action for action in ACTIONS if getattr(model_admin, f"has_{action}_permission")(request)]
    named = [pattern.name.rsplit("_", 1) for pattern in model_admin.get_urls() if pattern.name]
    own = [f"{before.rsplit('_', 1)[-1]}-{last}" if last == "change" else last for before, last in named
           if last not in _USUAL or before.endswith("password")]  # fmt: skip
    return " ".join([*usual, *sorted(own)])


def page(action, model):
    """The address of a page about the first row of a model."""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    if action in {"view", "add"}:
        return reverse(f"{name}_{'changelist' if action == 'view' else 'add'}")
    return reverse(f"{name}_{action}", args=[model.objects.order_by("pk").first().pk])


def may(client, action, model, **options):
    """Whether this client's browser is let do it; of a page that only shows, not."""
    response = client.get(page(action, model), **options)
    if response.status_code != 200:
        assert response.status_code == 403 or "/admin/login/" in response.headers.get("Location", ""), response
        return False
    return action != "change" or bool(response.context["has_change_permission"])


def test_every_model_and_what_may_be_done_with_it_is_listed(on_stage):
    superuser = on_stage.people["superuser"]
    found = {model._meta.label_lower: actions_of(of_model, superuser) for model, of_model in site._registry.items()}
    wrong = differences("admin", found, ADMIN)
    assert not wrong, "\n".join(["", *wrong, REVIEW])


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("name", ADMIN)
def test_a_superuser_may_what_is_listed_and_others_nothing(on_stage, name, action):
    model = apps.get_model(name)
    assert may(on_stage.browser("superuser"), action, model) == (action in ADMIN[name].split())
    for role in (*OTHERS, "staff"):
        headers = on_stage.headers(role) if role.startswith("key:") else {}
        assert not may(on_stage.browser(role), action, model, headers=headers), f"{role} may {action}"


@pytest.mark.parametrize("name", ADMIN)
def test_who_was_given_the_sight_of_a_model_sees_it_and_changes_nothing(on_stage, name):
    model = apps.get_model(name)
    looker = User.objects.get(pk=on_stage.people["staff"].pk)
    looker.user_permissions.add(Permission.objects.get(codename=f"view_{model._meta.model_name}"))
    client = on_stage.browser("staff")
    assert {action for action in ACTIONS if may(client, action, model)} == {"view"}


@pytest.mark.parametrize("command", ["cancel", "assign", "complete"])
@pytest.mark.parametrize("role", [*OTHERS, "staff"])
def test_the_commands_on_a_ride_are_for_who_may_change_rides(on_stage, role, command):
    response = on_stage.browser(role).post(f"/admin/mobility/booking/{on_stage.live}/{command}/", {})
    assert response.status_code == 403 or "/admin/login/" in response["Location"]
