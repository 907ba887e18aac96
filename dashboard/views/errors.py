"""The pages for what went wrong. They read no database: it may be what is broken."""

import sys
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from ..storage_trouble import words_of
from .shell import theme_of

TRY_AFTER = "5"  # seconds
TROUBLE = "X-Trouble"  # the sentence for app.js, which shows no page


def not_understood(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """Without the request, of which not all can be read. Django's own view reads the form once more for a token of it,
    and so makes a 500 of a form that cannot be read."""
    return HttpResponse(render_to_string("400.html"), status=400)


def forbidden(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return render(request, "403.html", status=403)


def not_found(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return render(request, "404.html", status=404)


def broken(request: HttpRequest) -> HttpResponse:
    """What Django shows for any error: 503 with the reason where the database cannot be used, else 500."""
    words = words_of(sys.exc_info()[1])
    # Without what is known to each page: that includes who it is, which the database would have to say.
    context = {"words": words, "sent": request.method == "POST", "theme": theme_of(request)}
    if not words:
        return HttpResponse(render_to_string("500.html", context), status=500)
    response = HttpResponse(render_to_string("503.html", context), status=503)
    response.headers["Retry-After"] = TRY_AFTER
    response.headers[TROUBLE] = words
    return response
