"""Rides for operators: whom they were offered to, why, and the three things operators do with a ride."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import path, reverse
from django.utils.safestring import SafeString

from mobility.bookings.admin import BookingAdmin, attention_since
from mobility.bookings.models import Booking
from mobility.bookings.services import Actor
from mobility.bookings.states import ActorRole, allowed_commands
from mobility.dispatch.desk import driver_name, explanation_of, free_drivers_for, offers_of
from mobility.dispatch.driving import complete_ride
from mobility.dispatch.services import assign_driver, cancel_ride
from mobility.errors import Refusal, refusal_for
from mobility.people.admin_site import site


class CancelForm(forms.Form):
    """Why a ride is cancelled."""

    reason = forms.CharField(max_length=300, required=False)


class AssignForm(forms.Form):
    """Who shall drive."""

    driver_id = forms.IntegerField(min_value=1, max_value=2**63 - 1, label="Driver number")


@admin.register(Booking, site=site)
class BookingDeskAdmin(BookingAdmin):
    """A ride with its offers and the explanation of its search; cancel, assign and complete are forms of their own."""

    change_form_template = "mobility/admin/booking_desk.html"

    @property
    def media(self) -> forms.Media:
        """The looks of the forms and tables."""
        return super().media + forms.Media(css={"screen": ["mobility/desk.css"]})

    def get_fieldsets(self, request: HttpRequest, obj: Booking | None = None) -> Any:
        """Offers and search right below the log."""
        fieldsets = list(super().get_fieldsets(request, obj))
        below_log = [name for name, _ in fieldsets].index("Log") + 1
        fieldsets[below_log:below_log] = [
            ("Offers", {"fields": ("offers_made",)}), ("Search", {"fields": ("search_rounds",)}),
        ]  # fmt: skip
        return fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Booking | None = None) -> Any:
        """Those two are to look at, like all others."""
        return [*super().get_readonly_fields(request, obj), "offers_made", "search_rounds"]

    @admin.display(description="offers")
    def offers_made(self, booking: Booking) -> SafeString:
        """Whom the ride was offered to, in order."""
        offers = [(offer, driver_name(offer.driver)) for offer in offers_of(booking.pk)]
        return render_to_string("mobility/admin/offers.html", {"offers": offers})

    @admin.display(description="search")
    def search_rounds(self, booking: Booking) -> SafeString:
        """Why each driver was asked or not, round by round."""
        return render_to_string("mobility/admin/search_rounds.html", {"rounds": explanation_of(booking.pk)})

    def may_command(self, request: HttpRequest) -> bool:
        """Whether this person may cancel, assign and complete: the permission to change rides."""
        name = f"{self.opts.app_label}.{get_permission_codename('change', self.opts)}"
        return request.user.has_perm(name)

    def render_change_form(
        self, request: HttpRequest, context: Any, add: bool = False, change: bool = False, form_url: str = "",
        obj: Booking | None = None,
    ) -> Any:  # fmt: skip
        """The page, with the forms the ride's state allows."""
        if obj is not None:
            commands = allowed_commands(obj.status, ActorRole.OPERATOR) if self.may_command(request) else []
            context["commands"] = commands
            context["free_drivers"] = free_drivers_for(obj) if "assign" in commands else []
            context["attention_since"] = attention_since(obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def get_urls(self) -> Any:
        """An address for each command: for staff, with the CSRF token."""
        commands = {"cancel": self.cancel_view, "assign": self.assign_view, "complete": self.complete_view}
        return [
            path(f"<int:pk>/{name}/", self.admin_site.admin_view(view), name=f"mobility_booking_{name}")
            for name, view in commands.items()
        ] + super().get_urls()

    def cancel_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Cancel the ride."""
        return self._command(
            request, pk, CancelForm, lambda actor, reason: cancel_ride(pk, actor, reason), "The ride is cancelled."
        )

    def assign_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Give the ride to a driver."""
        return self._command(
            request, pk, AssignForm, lambda actor, driver_id: assign_driver(pk, driver_id, actor),
            "The driver is assigned.",
        )  # fmt: skip

    def complete_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Complete the ride."""
        return self._command(request, pk, forms.Form, lambda actor: complete_ride(pk, actor), "The ride is completed.")

    def _command(
        self, request: HttpRequest, pk: int, form_class: type[forms.Form], run: Callable[..., Any], done: str
    ) -> HttpResponse:
        """Check who asks and what was typed, run the service, and show the ride with what came of it.

        Only a POST does anything: others come here from a login that stood between a form and its address.
        """
        if not self.may_command(request):
            raise PermissionDenied
        if not Booking.objects.filter(pk=pk).exists():
            raise Http404
        if request.method == "POST":
            actor, form = Actor(request.user.pk, ActorRole.OPERATOR), form_class(request.POST)
            wrong = _errors(form) or _refused(lambda: run(actor, **form.cleaned_data))
            self.message_user(request, wrong or done, messages.ERROR if wrong else messages.SUCCESS)
        return HttpResponseRedirect(
            reverse("admin:mobility_booking_change", args=[pk], current_app=self.admin_site.name)
        )


def _errors(form: forms.Form) -> str:
    """What is wrong with the fields, each named; empty when nothing is."""
    return " ".join(f"{form[name].label}: {' '.join(map(str, told))}" for name, told in form.errors.items())


def _refused(run: Callable[[], Any]) -> str:
    """Run a service; the sentence of its refusal, or nothing."""
    try:
        run()
    except Refusal as refused:
        return _for_operators(refused)
    except (DatabaseError, InterfaceError) as error:
        refused_by_database = refusal_for(error)
        if refused_by_database is None:
            raise
        return _for_operators(refused_by_database)
    return ""


def _for_operators(refused: Refusal) -> str:
    """The sentence of a refusal; where that one speaks to the passenger, one about them."""
    if refused.code == "live_ride_exists":
        other = refused.details.get("ride_id")
        return f"The passenger has another live ride{f': {other}' if other else ''}."
    return refused.message
