"""The one shape of everything live: a fragment that a page includes and that its own URL renders again.

A panel's URL carries the version that its fragment was rendered from. The server compares it with the stored
versions of the panel's topics and answers 204 while nothing has moved (a 304 would still swap).

A page renders its panels with the tag `panel`: the view passes `{"newest": NEWEST.context(request)}`, the
template says `{% panel newest %}`. A page of a single panel may spread the context instead and include the fragment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_safe

from ..access_rules import ROWS, Rule
from ..languages import current
from ..live.topics import Versions, stored_versions, version_of
from .access import accounts_in_view, say_account

Context = dict[str, Any]
Build = Callable[..., Context]


@dataclass(frozen=True)
class Panel:
    """`name` is the stem: URL `panel-<name>`, template `dashboard/_<name>_panel.html`, id `<name>-panel`.

    `build(request, **kwargs)` gives the template's context; `salt(request, **kwargs)` names what else than
    topics the fragment depends on, such as today's date. Both raise Http404 for what the person may not see.
    """

    name: str
    topics: tuple[str, ...]
    build: Build
    salt: Callable[..., str] | None = None
    every: str = "60s"
    # Whether the fragment depends on the page's query string (filters, page of a list).
    keeps_query: bool = True

    @property
    def template(self) -> str:
        return f"dashboard/_{self.name.replace('-', '_')}_panel.html"

    @property
    def rule(self) -> Rule:
        """The right that its URL takes: also on a page that takes another one, it is the fragment of that URL."""
        return ROWS[f"panel-{self.name}"].get or Rule.READ

    def version(self, request: HttpRequest, **kwargs: Any) -> str:
        salt = self.salt(request, **kwargs) if self.salt else ""
        if (language := current()) != settings.LANGUAGE_CODE:
            # Who changes the language sees the new one at the next question.
            salt = f"{language} {salt}"
        accounts = accounts_in_view(request, self.rule)
        return version_of(accounts, *self.topics, salt=salt, stored=stored_versions_of(request))

    def context(self, request: HttpRequest, version: str | None = None, **kwargs: Any) -> Context:
        """What the fragment needs, for the page that shows it and for `answer`.

        The version is read before the data: a change in between makes the next question find a newer version,
        never an older fragment.
        """
        if version is None:
            version = self.version(request, **kwargs)
        query = request.GET.copy() if self.keeps_query else QueryDict(mutable=True)
        say_account(request, query)
        query["v"] = version
        url = reverse(f"panel-{self.name}", kwargs=kwargs)
        attributes = {
            "id": f"{self.name}-panel",
            "topics": " ".join(self.topics),
            "url": f"{url}?{query.urlencode()}",
            "trigger": f"nudge, every {self.every}",
            "template": self.template,
        }
        return {**self.build(request, **kwargs), "panel": attributes}

    def answer(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """204 while the version in the URL is the stored one, else the fragment."""
        version = self.version(request, **kwargs)
        if request.GET.get("v") == version:
            return HttpResponse(status=204)
        return HttpResponse(self.render(request, version, **kwargs))

    def render(self, request: HttpRequest, version: str | None = None, **kwargs: Any) -> str:
        return render_to_string(self.template, self.context(request, version, **kwargs), request)

    @property
    def view(self) -> Callable[..., HttpResponse]:
        """The view of the panel's URL, reading only."""
        return require_safe(lambda request, **kwargs: self.answer(request, **kwargs))


def stored_versions_of(request: HttpRequest) -> Versions:
    """Read once in the life of a request, before any of its panels: one query for all of them."""
    known: Versions | None = getattr(request, "_stored_versions", None)
    if known is None:
        known = stored_versions(getattr(request.user, "visible_account_ids", ()))
        request._stored_versions = known  # type: ignore[attr-defined]
    return known
