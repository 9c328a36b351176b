"""Accounts, for operators."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.forms import AdminPasswordChangeForm, AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString, mark_safe

from mobility.errors import Refusal
from mobility.people.admin_site import site
from mobility.people.keys import issue_api_key, revoke_api_key
from mobility.people.models import API_KEY_DAYS, API_KEY_MOST_DAYS, ApiKey, Role, Scope, User
from mobility.people.phones import masked_phone, normalised_phone, without_phone
from mobility.people.services import checked_username, save_account, suspend_user


def masked_name(user: User) -> str:
    """What to call a user in a list: the name, or the username unless that is a phone number."""
    return without_phone(user.display_name)


class NamelessCheckbox(admin.ModelAdmin):
    """Lists whose checkboxes are labelled by number: Django's label is the row's name, which may hold a phone."""

    @admin.display(description=mark_safe('<input type="checkbox" id="action-toggle" aria-label="Select all">'))
    def action_checkbox(self, obj: Model) -> SafeString:
        """The box that chooses a row for an action."""
        box = forms.CheckboxInput({"class": "action-select", "aria-label": f"Select {obj.pk}"}, lambda _: False)
        return box.render(ACTION_CHECKBOX_NAME, str(obj.pk))


class RolesField(forms.TypedMultipleChoiceField):
    """One box for each role."""

    def __init__(self) -> None:
        super().__init__(choices=Role.choices, widget=forms.CheckboxSelectMultiple, required=False)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether other roles are ticked than were."""
        return set(initial or []) != set(data or [])


def _refused_as_error(check: Callable[[], Any]) -> Any:
    try:
        return check()
    except Refusal as refused:
        raise ValidationError(refused.message, code=refused.code) from None


class _PersonForm(forms.ModelForm):
    """What holds for new and for edited accounts."""

    def clean_phone(self) -> Any:
        """The phone in E.164, however it was typed."""
        typed = self.cleaned_data["phone"]
        return normalised_phone(typed) or typed

    def clean(self) -> dict[str, Any]:
        """Refuses a username that is another person's phone."""
        cleaned = super().clean() or {}
        if "username" in cleaned and "phone" in cleaned:
            try:
                _refused_as_error(lambda: checked_username(cleaned["username"], cleaned["phone"]))
            except ValidationError as wrong:
                self.add_error("username", wrong)
        return cleaned


class PersonCreationForm(_PersonForm, AdminUserCreationForm):
    """A new account."""

    roles = RolesField()

    class Meta:
        model = User
        fields = ["username", "phone", "roles"]


class PersonChangeForm(_PersonForm, UserChangeForm):
    """An edited account."""

    roles = RolesField()

    class Meta:
        model = User
        fields = [
            "username", "phone", "password", "first_name", "last_name", "email", "roles", "is_active", "is_staff",
            "is_superuser", "groups", "user_permissions",
        ]  # fmt: skip


class NewPasswordForm(AdminPasswordChangeForm):
    """Another person's new password: what was opened with the old one ends."""

    def save(self, commit: bool = True) -> Any:
        """Store it through the service."""
        save_account(self.user.pk, lambda: super(NewPasswordForm, self).save(commit))
        return self.user


class RoleFilter(admin.SimpleListFilter):
    """Lists the people of one role."""

    title = "role"
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:  # noqa: ARG002
        """The roles."""
        return Role.choices

    def queryset(self, request: HttpRequest, queryset: "QuerySet[User]") -> "QuerySet[User]":  # noqa: ARG002
        """Those who have the chosen one."""
        return queryset.filter(roles__contains=[self.value()]) if self.value() in Role.values else queryset


@admin.register(User, site=site)
class PersonAdmin(NamelessCheckbox, UserAdmin):
    """Accounts are closed, never deleted: rides belong to them."""

    form = PersonChangeForm
    add_form = PersonCreationForm
    change_password_form = NewPasswordForm
    list_display = ("id", "who", "masked", "role_names", "is_active", "is_staff")
    list_display_links = ("id", "who")
    list_filter = (RoleFilter, "is_active", "is_staff")
    search_fields = ("username", "first_name", "last_name", "phone")
    ordering = ("-id",)
    actions = ("suspend",)
    fieldsets = (
        (None, {"fields": ("username", "phone", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email", "roles")}),
        ("May do", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Times", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (None, {"fields": ("username", "phone", "roles", "usable_password", "password1", "password2")}),
    )  # fmt: skip
    readonly_fields = ("last_login", "date_joined")

    @admin.display(description="name")
    def who(self, user: User) -> str:
        """The name, with a phone in its place masked."""
        return masked_name(user)

    @admin.display(description="phone")
    def masked(self, user: User) -> str:
        """The phone, masked."""
        return masked_phone(user.phone)

    @admin.display(description="roles")
    def role_names(self, user: User) -> str:
        """The roles, in words."""
        return ", ".join(user.roles)

    @admin.action(description="Suspend: no login, tokens revoked, sockets closed", permissions=["change"])
    def suspend(self, request: HttpRequest, queryset: "QuerySet[User]") -> None:
        """Close the chosen accounts, but never one's own."""
        others = [pk for pk in queryset.values_list("pk", flat=True) if pk != request.user.pk]
        for user_id in others:
            suspend_user(user_id)
        self.message_user(request, f"{len(others)} suspended.", messages.SUCCESS)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Store an account; a suspension ends its tokens and sockets."""
        save_account(
            obj.pk if change else None, lambda: super(PersonAdmin, self).save_model(request, obj, form, change)
        )

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:  # noqa: ARG002
        """Never."""
        return False


class ApiKeyForm(forms.ModelForm):
    """What a key is for, what it may read, and for how long."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, f"{scope.value}: {scope.label}") for scope in Scope],
        widget=forms.CheckboxSelectMultiple,
        help_text="What it may read. As little as the dashboard needs.",
    )
    days = forms.IntegerField(
        min_value=1,
        max_value=API_KEY_MOST_DAYS,
        initial=API_KEY_DAYS,
        help_text="After so many days it ends by itself.",
    )

    class Meta:
        model = ApiKey
        fields = ["name", "scopes"]
        help_texts = {"name": "What the key is for: the dashboard, or the script."}


@admin.register(ApiKey, site=site)
class ApiKeyAdmin(NamelessCheckbox):
    """Keys are made and revoked, never changed. A key's text is told once, when it is made."""

    list_display = ("id", "name", "prefix", "may_read", "expires_at", "last_used_at", "revoked_at")
    list_display_links = ("id", "name")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    search_fields = ("name", "prefix")
    ordering = ("-id",)
    actions = ("revoke",)
    show_full_result_count = False

    def get_form(self, request: HttpRequest, obj: ApiKey | None = None, change: bool = False, **kwargs: Any) -> Any:
        """A form for a new key; an old one is only looked at."""
        return ApiKeyForm if obj is None else super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:  # noqa: ARG002
        """What makes a key, or what there is to see of one: never the digest."""
        if obj is None:
            return ("name", "scopes", "days")
        return ("name", "prefix", "may_read", "made_by", "created_at", "expires_at", "last_used_at", "revoked_at")

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        """Of an old key everything."""
        return () if obj is None else self.get_fields(request, obj)

    @admin.display(description="may read")
    def may_read(self, key: ApiKey) -> str:
        """The scopes."""
        return ", ".join(key.scopes)

    @admin.display(description="made by")
    def made_by(self, key: ApiKey) -> str:
        """Who made it, with a phone in the name's place masked."""
        return "manage.py api_key" if key.created_by is None else masked_name(key.created_by)

    @admin.action(description="Revoke: the next request with these keys is refused", permissions=["add"])
    def revoke(self, request: HttpRequest, queryset: "QuerySet[ApiKey]") -> None:
        """End the chosen keys."""
        revoked = sum(revoke_api_key(key_id) for key_id in queryset.values_list("pk", flat=True))
        self.message_user(request, f"{revoked} revoked.", messages.SUCCESS)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:  # noqa: ARG002
        """Make the key and tell its text."""
        wanted, maker = form.cleaned_data, request.user if isinstance(request.user, User) else None
        made, text = issue_api_key(wanted["name"], wanted["scopes"], days=wanted["days"], created_by=maker)
        obj.pk, obj.prefix = made.pk, made.prefix
        obj._state.adding = False
        self.message_user(request, f"The key of {obj.name}, told this once: {text}", messages.WARNING)

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:  # noqa: ARG002
        """Never; a new key is made instead."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:  # noqa: ARG002
        """Never; a key is revoked."""
        return False


site.register(Group, GroupAdmin)
