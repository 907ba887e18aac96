"""Our admin site. Not in the package `admin`: that registers with the site, and would be imported to make it."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy

# Forms whose sending needs a fresh proof open only with one too: what was typed would be lost on the way to it.
ASKS_TO_OPEN = frozenset(f"dashboard_{model}_{what}" for model in ("account", "user") for what in ("add", "change")) | {
    "auth_user_password_change"
}

# Leaving, trying the stored key where it belongs, reading from ANOSIM now.
CHANGES_NOTHING = frozenset({"logout", "dashboard_account_test_key", "dashboard_syncstate_changelist"})


class DashboardAdminSite(AdminSite):
    """For admins alone, and without a sign-in of its own: that would pass by the limits of the real one."""

    site_header = gettext_lazy("ANOSIM admin")
    site_title = gettext_lazy("ANOSIM admin")
    index_title = gettext_lazy("Admin")
    enable_nav_sidebar = False  # it moves the page while it loads

    def has_permission(self, request: HttpRequest) -> bool:
        # Not at the top: this module is loaded before the models are.
        from .access_rules import Rule, may

        return may(request.user, Rule.ADMIN)

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Any:
        """Django sends whoever lacks the right to the sign-in. Who is signed in already gets 404 instead."""
        from .sign_in.fresh import confirm_first, fresh

        inner = super().admin_view(view, cacheable)

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if request.user.is_authenticated and not self.has_permission(request):
                raise Http404
            if request.user.is_authenticated and _is_sensitive(request) and not fresh(request):
                return confirm_first(request)
            return inner(request, *args, **kwargs)

        return update_wrapper(guarded, inner)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Closed: the dashboard's own sign-in is the only one. Only who came in by it gets here."""
        return HttpResponseRedirect(reverse("admin:index"))

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Our own way, which is limited and on record."""
        return HttpResponseRedirect(reverse("account_change_password"))

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """As above."""
        from .views.sign_in import sign_out

        return sign_out(request)


def _is_sensitive(request: HttpRequest) -> bool:
    """Keys, people, roles and caps: all that the panel changes."""
    name = request.resolver_match.url_name if request.resolver_match else ""
    return name in ASKS_TO_OPEN or (request.method not in ("GET", "HEAD") and name not in CHANGES_NOTHING)
