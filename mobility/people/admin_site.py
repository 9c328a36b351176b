"""The operators' pages: Django's admin with our login behind it."""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.urls import reverse

from mobility.errors import Refusal
from mobility.people.models import User
from mobility.people.services import end_session, save_account, verified_user


class OperatorLoginForm(AdminAuthenticationForm):
    """Limits tries like the login of the apps."""

    def clean(self) -> dict[str, Any]:
        """The checked form; every refusal but the limit reads alike."""
        name, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if name and password and self.request is not None:
            try:
                user = verified_user(name, password, self.request.META["REMOTE_ADDR"], self.request)
            except Refusal as refused:
                if refused.code == "wrong_login":
                    raise self.get_invalid_login_error() from None
                raise ValidationError(refused.message, code=refused.code) from None
            self.confirm_login_allowed(user)
            self.user_cache = user
        return self.cleaned_data


class OwnPasswordForm(AdminPasswordChangeForm):
    """A new password of one's own: tokens and sockets opened with the old one end."""

    def save(self, commit: bool = True) -> Any:
        """Store it through the service."""
        save_account(self.user.pk, lambda: super(OwnPasswordForm, self).save(commit))
        return self.user


class OperatorSite(AdminSite):
    """The admin of CareConnect Mobility."""

    site_header = "CareConnect Mobility"
    site_title = "CareConnect Mobility"
    index_title = "Operations"
    login_form = OperatorLoginForm

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Log out; the sockets of the user close as well."""
        if request.method == "POST" and isinstance(request.user, User):
            end_session(request)
        return super().logout(request, extra_context)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Change one's own password."""
        request.current_app = self.name
        return PasswordChangeView.as_view(
            form_class=OwnPasswordForm,
            success_url=reverse("admin:password_change_done", current_app=self.name),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )(request)


site = OperatorSite()
