"""Drivers, for operators. Where they are stands in mobility/locations/admin.py, which registers this."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from mobility.drivers.models import Driver, DriverStatus
from mobility.drivers.services import check_status_change, save_driver, set_verified
from mobility.errors import Refusal
from mobility.people.admin import NamelessCheckbox, masked_name
from mobility.people.phones import masked_phone, normalised_phone


class DriverForm(forms.ModelForm):
    """A driver, without the status that only rides give."""

    class Meta:
        model = Driver
        fields = [
            "user", "phone", "license_number", "vehicle_registration", "vehicle_type", "status", "rating", "verified",
            "stationary", "auto_accept",
        ]  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "status" in self.fields and self.instance.status != DriverStatus.BUSY:
            self.fields["status"].choices = [  # type: ignore[attr-defined]
                choice for choice in DriverStatus.choices if choice[0] != DriverStatus.BUSY
            ]

    def clean_phone(self) -> Any:
        """The phone in E.164, however it was typed."""
        typed = self.cleaned_data["phone"]
        return normalised_phone(typed) or typed

    def clean_status(self) -> Any:
        """The status, refused where it would contradict a ride; holds the driver's row until the form is stored."""
        status = self.cleaned_data["status"]
        if "status" in self.changed_data or self.instance.pk is None:
            try:
                check_status_change(self.instance.pk, status)
            except Refusal as refused:
                raise ValidationError(refused.message, code=refused.code) from None
        return status


class DriverAdmin(NamelessCheckbox):
    """Drivers are taken offline or unverified, never deleted: rides name them."""

    form = DriverForm
    list_display: tuple[str, ...] = (
        "id", "who", "masked", "vehicle_registration", "vehicle_type", "status", "verified",
    )  # fmt: skip
    list_display_links = ("id", "who")
    list_filter: ClassVar[tuple[Any, ...]] = ("verified", "status", "vehicle_type", "stationary", "auto_accept")
    search_fields = (
        "phone", "license_number", "vehicle_registration", "user__username", "user__first_name", "user__last_name",
    )  # fmt: skip
    list_select_related = ("user",)
    ordering = ("-id",)
    raw_id_fields = ("user",)
    readonly_fields = ("missed_offers", "total_rides", "created_at")
    actions = ("verify", "withdraw_verification")
    show_full_result_count = False

    @admin.display(description="name")
    def who(self, driver: Driver) -> str:
        """The name, with a phone in its place masked."""
        return masked_name(driver.user)

    @admin.display(description="phone")
    def masked(self, driver: Driver) -> str:
        """The phone, masked."""
        return masked_phone(driver.phone)

    @admin.action(description="Verify: papers and vehicle were checked", permissions=["change"])
    def verify(self, request: HttpRequest, queryset: "QuerySet[Driver]") -> None:
        """Make the chosen drivers matchable."""
        changed = set_verified(queryset.values_list("pk", flat=True), verified=True)
        self.message_user(request, f"{changed} verified.", messages.SUCCESS)

    @admin.action(description="Withdraw verification", permissions=["change"])
    def withdraw_verification(self, request: HttpRequest, queryset: "QuerySet[Driver]") -> None:
        """Match the chosen drivers no longer."""
        changed = set_verified(queryset.values_list("pk", flat=True), verified=False)
        self.message_user(request, f"{changed} no longer verified.", messages.SUCCESS)

    def save_model(self, request: HttpRequest, obj: Driver, form: Any, change: bool) -> None:  # noqa: ARG002
        """Store what was changed, nothing else."""
        save_driver(obj, form.changed_data)

    def has_delete_permission(self, request: HttpRequest, obj: Driver | None = None) -> bool:  # noqa: ARG002
        """Never."""
        return False
