"""The pages for what went wrong. They read no database: it may be what is broken."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string


def not_understood(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """Without the request, of which not all can be read. Django's own view reads the form once more for a token of it,
    and so makes a 500 of a form that cannot be read."""
    return HttpResponse(render_to_string("400.html"), status=400)


def forbidden(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return render(request, "403.html", status=403)


def not_found(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return render(request, "404.html", status=404)


def broken(request: HttpRequest) -> HttpResponse:
    return render(request, "500.html", status=500)
