"""The floor that pages are compared with: what Django itself takes to list fifty messages, and no more.

Signed in, the same table and rows, the middleware of `startproject`, a template with one plain loop.
"""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.template import Context, Engine, Template
from django.urls import include, path

from dashboard.models import Account, Sms

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATE = Template(
    """<!doctype html><html><head><title>Messages</title></head><body><h1>Messages of {{ user.username }}</h1><table>
{% for sms in rows %}<tr><td>{{ sms.number }}</td><td>{{ sms.sender }}</td><td>{{ sms.text }}</td>
<td>{{ sms.received_at }}</td></tr>
{% endfor %}</table></body></html>""",
    engine=Engine(),
)


@login_required
def floor(request: HttpRequest) -> HttpResponse:
    account = Account.objects.only("pk").get()
    rows = Sms.objects.filter(account=account).order_by("-received_at", "-id")[:50]
    return HttpResponse(TEMPLATE.render(Context({"rows": rows, "user": request.user})))


@login_required
def empty(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<!doctype html><title>Empty</title><p>{request.user}")


urlpatterns = [
    path("floor/", floor),
    path("empty/", empty, name="bench-empty"),
    path("", include("anosim_dashboard.urls")),
]
