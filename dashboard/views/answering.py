"""Answers to a form: on to another page, or back with a sentence; the same for a browser with and without scripts."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django_htmx.http import HttpResponseClientRedirect, trigger_client_event

LEVELS = {"ok": messages.SUCCESS, "info": messages.INFO, "bad": messages.ERROR}


def go(request: HttpRequest, url: str) -> HttpResponse:
    """Lead on to another page: 303, or htmx's own way."""
    if request.htmx:  # type: ignore[attr-defined]
        return HttpResponseClientRedirect(url)
    return HttpResponseRedirect(url, status=303)


def done(request: HttpRequest, url: str, words: str, level: str = "ok", content: str = "") -> HttpResponse:
    """Say that it is done (or under way): a toast over the page that asked by script, which then takes in `content`
    and looks at its panels anew; else the page at `url` with the words on top."""
    if request.htmx:  # type: ignore[attr-defined]
        response = HttpResponse(content)
        trigger_client_event(response, "toast", {"level": level, "text": words})
        return trigger_client_event(response, "changed", {}, after="settle")
    messages.add_message(request, LEVELS[level], words)
    return HttpResponseRedirect(url, status=303)
