"""Behind Caddy with TLS, by docker-compose.tls.yml, with a certificate of Caddy's own authority."""

from __future__ import annotations

import http.client
import json
import ssl
import tempfile

from .course import Course, at_provider, provider
from .project import Project, free_port, seconds_until

FILES = ("docker-compose.yml", "docker-compose.tls.yml")
AUTHORITY = 'cat "${XDG_DATA_HOME:-$HOME/.local/share}/caddy/pki/authorities/local/root.crt" 2>/dev/null || true'
SPOOFED = "203.0.113.77"
# Signs in from another container, whose address the dashboard has to tell: not the proxy's, and not what it is told.
SIGN_IN = """
import http.client, http.cookies, json, socket, ssl, urllib.parse
trust = ssl.create_default_context(cadata=AUTHORITY)
jar = {}
def ask(method, path, fields=None):
    connection = http.client.HTTPSConnection("localhost", 443, timeout=20, context=trust)
    connection.sock = trust.wrap_socket(socket.create_connection(("caddy", 443), 20), server_hostname="localhost")
    headers = {"Cookie": "; ".join(f"{name}={each.value}" for name, each in jar.items()), "X-Forwarded-For": SPOOFED}
    body = None
    if fields is not None:
        body = urllib.parse.urlencode({"csrfmiddlewaretoken": jar["csrftoken"].value, **fields})
        headers |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://localhost"}
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    for line in response.headers.get_all("Set-Cookie") or []:
        jar.update(http.cookies.SimpleCookie(line))
    return response.status, dict(response.headers), response.read().decode()
login = ask("GET", "/accounts/login/")
signed = ask("POST", "/accounts/login/", {"username": "admin", "password": PASSWORD})
home = ask("GET", "/")
print(json.dumps({
    "login": login[0], "signed": signed[0], "home": home[0], "hsts": home[1].get("Strict-Transport-Security", ""),
    "insecure": [name for name, each in jar.items() if not each["secure"]], "cookies": sorted(jar),
    "address": socket.gethostbyname(socket.gethostname())}))
"""


def shelter(course: Course) -> None:
    """Bring it up with TLS and look at it from inside and from outside."""
    http_port, https_port = free_port(), free_port()
    variables = {
        "SITE": "localhost",
        "ALLOWED_HOSTS": "localhost",
        "CSRF_TRUSTED_ORIGINS": "https://localhost",
        "TRUSTED_PROXIES": "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16",
        "MFA_REQUIRED": "0",
        "HTTP_PORT": str(http_port),
        "HTTPS_PORT": str(https_port),
    }
    with (
        course.part("h. TLS"),
        provider() as sandbox,
        Project(course.engine, course.image, at_provider(sandbox) | variables, files=FILES) as project,
    ):
        course.report.add("until all are healthy", project.up(), "s", 120)
        assert seconds_until(lambda: bool(_authority(project)), 30) < 30, "Caddy makes no certificate"
        assert seconds_until(lambda: _listens(https_port) and _listens(http_port), 30) < 30, "Caddy does not answer"
        authority = _authority(project)
        course.hold("from outside", *_from_outside(http_port, https_port, authority))
        _sign_in(course, project, authority)


def _sign_in(course: Course, project: Project, authority: str) -> None:
    """From inside, where the client's address is known."""
    given = f"AUTHORITY, PASSWORD, SPOOFED = {authority!r}, {project.first_password()!r}, {SPOOFED!r}\n"
    said = project.python("worker", given + SIGN_IN)
    statuses = {"login": 200, "signed": 302, "home": 200}
    course.hold("signed in over https", *(f"{key} {said[key]}" for key in statuses if said[key] != statuses[key]))
    course.hold("the browser is told to stay there", *([] if "max-age" in said["hsts"] else ["no HSTS"]))
    course.hold("cookies are Secure", *said["insecure"], *([] if "sessionid" in said["cookies"] else ["none"]))
    found = project.sql("SELECT host(ip) FROM usersessions_usersession").strip()
    course.hold("address of the client", *([] if found == said["address"] else [f"{found} for {said['address']}"]))


def _authority(project: Project) -> str:
    """The certificate of Caddy's own authority, "" until it has made one."""
    return project.exec("caddy", "sh", "-c", AUTHORITY)


def _listens(port: int) -> bool:
    """Whether a request is answered; a connection alone may end in the engine's own proxy."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/", headers={"Host": "localhost"})
        return connection.getresponse().status > 0
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _from_outside(http_port: int, https_port: int, authority: str) -> list[str]:
    """What is wrong with the ports that the machine shows to the world."""
    wrong = []
    plain = http.client.HTTPConnection("127.0.0.1", http_port, timeout=20)
    plain.request("GET", "/inbox/", headers={"Host": "localhost"})
    answer = plain.getresponse()
    if answer.status != 308 or not (answer.getheader("Location") or "").startswith("https://localhost"):
        wrong.append(f"plain http is answered by {answer.status} {answer.getheader('Location')}")
    plain.close()
    with tempfile.NamedTemporaryFile("w", suffix=".crt") as file:
        file.write(authority)
        file.flush()
        trust = ssl.create_default_context(cafile=file.name)
    secure = http.client.HTTPSConnection("localhost", https_port, timeout=20, context=trust)
    secure.request("GET", "/healthz", headers={"Host": "localhost"})
    answer = secure.getresponse()
    if answer.status != 200:
        wrong.append(f"/healthz over https is {answer.status}: {json.dumps(answer.read().decode())[:200]}")
    secure.close()
    return wrong
