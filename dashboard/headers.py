"""Headers of every answer, and what a fragment request gets when the session is over."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

PERMISSIONS_POLICY = "camera=(), microphone=(), geolocation=(), payment=()"
GetResponse = Callable[[HttpRequest], HttpResponse]


class SecurityHeadersMiddleware:
    """Content-Security-Policy everywhere, and `no-store` on all that is not a static file: pages are personal."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers["Content-Security-Policy"] = settings.SECURE_CSP
        response.headers["Permissions-Policy"] = PERMISSIONS_POLICY
        if not request.path.startswith(settings.STATIC_URL):
            response.headers["Cache-Control"] = "no-store"
        return response


class HtmxLoginMiddleware:
    """A panel must not swap the sign-in page into itself: tell htmx to leave for it instead."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        location = response.headers.get("Location", "")
        if (
            request.headers.get("HX-Request")
            and response.status_code == 302
            and location.startswith(settings.LOGIN_URL)
        ):
            answer = HttpResponse(status=401)
            answer.headers["HX-Redirect"] = settings.LOGIN_URL
            return answer
        return response
