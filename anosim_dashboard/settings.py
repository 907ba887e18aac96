"""Settings of the ANOSIM dashboard. Every variable is described in `.env.example`."""

import os
from pathlib import Path

import dj_database_url
from celery.schedules import crontab, schedule

from . import embedded_redis, postgresql, shared_clock, sqlite
from .environment import (
    BadEnvironment,
    env,
    env_bool,
    env_int,
    env_list,
    env_mail,
    env_networks,
    env_origins,
    env_secret,
    env_secret_url,
    env_time_zone,
    load_dotenv,
)
from .stored_secret import secret_or_stored

BASE_DIR = Path(__file__).resolve().parent.parent
load_dotenv(BASE_DIR / ".env")

DATA_DIR = Path(env("DATA_DIR", str(BASE_DIR / "var"))).expanduser().resolve()
DEBUG = env_bool("DEBUG", False)
SECRET_KEY = secret_or_stored("SECRET_KEY", DATA_DIR / "secrets")
# Newest first: the first key seals, every key opens. Apart from SECRET_KEY: changing that one only ends sessions.
FIELD_KEYS = [key for key in secret_or_stored("FIELD_KEYS", DATA_DIR / "secrets").split(",") if key.strip()]

ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]"))
if (_host := env("HOST")) and _host not in ("0.0.0.0", "::"):  # noqa: S104 (compared, not bound)
    ALLOWED_HOSTS.append(_host)
CSRF_TRUSTED_ORIGINS = env_origins("CSRF_TRUSTED_ORIGINS")

ANOSIM_BASE_URL = env("ANOSIM_BASE_URL", "https://www.anosim.net/api/v1")
ANOSIM_API_KEY = env_secret("ANOSIM_API_KEY")
# Seconds that a call that spends may take, and seconds after that until "not found" may mean "not bought".
PURCHASE_DEADLINE_SECONDS = env_int("PURCHASE_DEADLINE_SECONDS", 90, minimum=1, maximum=120)
PURCHASE_SETTLE_SECONDS = env_int("PURCHASE_SETTLE_SECONDS", 900, minimum=1, maximum=86_400)
ANOSIM_MAX_CALLS_PER_SECOND = env_int("ANOSIM_MAX_CALLS_PER_SECOND", 4, minimum=1, maximum=50)

INSTALLED_APPS = [
    "dashboard",
    "dashboard.admin_config.DashboardAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    # Sign-in. Its own pages are not routed; ours are, in dashboard/sign_in/urls.py.
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
]

MIDDLEWARE = [
    "anosim_dashboard.request_id.RequestIdMiddleware",
    "dashboard.headers.SecurityHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "dashboard.languages.LanguageMiddleware",
    "dashboard.headers.HtmxLoginMiddleware",
    "dashboard.views.guard.AccessMiddleware",
    "dashboard.sign_in.middleware.SecondFactorMiddleware",
    "dashboard.sign_in.middleware.LastSeenMiddleware",
    "dashboard.local_time.LocalTimeMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "dashboard.denials.DenialsMiddleware",
]

ROOT_URLCONF = "anosim_dashboard.urls"
ASGI_APPLICATION = "anosim_dashboard.asgi.application"
WSGI_APPLICATION = "anosim_dashboard.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "dashboard.views.shell.shell",
            ],
            "builtins": ["django.templatetags.i18n", "dashboard.templatetags.dashboard"],
        },
    }
]


def _database() -> dict[str, object]:
    url = env_secret("DATABASE_URL")
    if not url:
        DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        url = f"sqlite:///{DATA_DIR / 'db.sqlite3'}"
    try:
        found = dict(dj_database_url.parse(url))
    except (ValueError, KeyError):
        found = {}
    if found.get("ENGINE") == "django.db.backends.sqlite3":
        found["OPTIONS"] = sqlite.options(sqlite.use_newest())
        # SQLite opens a file that cannot be written for reading only, and never asks again: not for long, then.
        found["CONN_MAX_AGE"] = 20
    elif found.get("ENGINE") == "django.db.backends.postgresql" and found.get("NAME"):
        found["OPTIONS"] = postgresql.options(dict(found.get("OPTIONS") or {}))  # type: ignore[call-overload]
        # A server that was restarted leaves the pool full of dead connections: none of them is handed out.
        found["CONN_HEALTH_CHECKS"] = True
    else:
        raise BadEnvironment(
            "DATABASE_URL is not one that can be used: write postgresql://USER:PASSWORD@HOST:5432/NAME "
            "or sqlite:////PATH, or leave it out to use SQLite in DATA_DIR."
        )
    return found


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "dashboard.User"
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/accounts/login/"
# A hash of an older hasher is made anew when its owner signs in.
PASSWORD_HASHERS = [
    "dashboard.sign_in.hashing.Argon2",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
PASSWORD_RESET_TIMEOUT = 3600
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

ACCOUNT_ADAPTER = "dashboard.sign_in.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_SESSION_REMEMBER = True
# Fixed windows in a cache would not do: ours grow, outlive Redis and know the places of a person (sign_in/limits.py).
ACCOUNT_RATE_LIMITS = MFA_RATE_LIMITS = False
ACCOUNT_FORMS = {
    "login": "dashboard.sign_in.forms.SignInForm",
    "change_password": "dashboard.sign_in.forms.ChangePasswordForm",
}
MFA_ADAPTER = "dashboard.sign_in.adapter.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_FORMS = {
    "authenticate": "dashboard.sign_in.forms.CodeForm",
    "reauthenticate": "dashboard.sign_in.forms.ConfirmCodeForm",
    "activate_totp": "dashboard.sign_in.forms.AppForm",
    "add_webauthn": "dashboard.sign_in.forms.AddKeyForm",
    "edit_webauthn": "dashboard.sign_in.forms.RenameKeyForm",
}
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_TOTP_ISSUER = "ANOSIM dashboard"
MFA_TOTP_TOLERANCE = 1  # a telephone's clock may be half a minute off
# Seconds for which a sign-in, or saying once more that it is you, opens keys, people and overrides.
CONFIRMED_SECONDS = ACCOUNT_REAUTHENTICATION_TIMEOUT = 600

# English is the language of the source; a person chooses, or their browser does (dashboard/languages.py).
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LANGUAGE_COOKIE_NAME = "language"
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = env_time_zone("TIME_ZONE", "UTC")
USE_I18N = True
USE_TZ = True
# The admin's; our own pages write times by local_time.py, numbers by wording.py.
FORMAT_MODULE_PATH = "anosim_dashboard.formats"

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "anosim_dashboard.static_storage.RememberingStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_AUTOREFRESH = DEBUG

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 60 * 60
CSRF_COOKIE_SAMESITE = "Lax"
# Cookies only over TLS as soon as the origins that the operator names are all https.
_TLS = bool(CSRF_TRUSTED_ORIGINS) and all(origin.startswith("https://") for origin in CSRF_TRUSTED_ORIGINS)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _TLS
# Managers and admins need a second factor: wherever strangers can reach the sign-in.
MFA_REQUIRED = env_bool("MFA_REQUIRED", _TLS)
# Whose word (X-Forwarded-For) is taken for where a request comes from. Nobody's, unless the operator names them.
TRUSTED_PROXIES = env_networks("TRUSTED_PROXIES")
SECURE_HSTS_SECONDS = 31_536_000 if _TLS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _TLS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DEFAULT_EXCEPTION_REPORTER_FILTER = "anosim_dashboard.error_pages.HideAlways"
# Style, script, worker and connection from ourselves only; data: images are the admin's own icons.
SECURE_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; worker-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; object-src 'none'"
)
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000

MAIL = env_mail("EMAIL_URL")
MAIL_IS_SET_UP = MAIL is not None
if MAIL is not None:
    EMAIL_HOST, EMAIL_PORT = MAIL.host, MAIL.port
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = MAIL.user, MAIL.password
    EMAIL_USE_SSL, EMAIL_USE_TLS = MAIL.ssl, MAIL.starttls
    EMAIL_TIMEOUT = 15
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env("EMAIL_FROM", "anosim-dashboard@localhost")

REDIS_URL = env_secret_url("REDIS_URL", ("redis", "rediss", "unix")) or embedded_redis.url(DATA_DIR)

# unix:///path is redis-py's spelling, redis+socket:///path is Celery's (stack.md Q1).
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_DISABLE_PREFETCH = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 300,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    "socket_timeout": 30,
    "socket_connect_timeout": 2,
    "health_check_interval": 25,
}
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = {
    # Ask each second what is due. Whatever the worker did not take by the next ask is dropped.
    "tick": {
        "task": "dashboard.tasks.tick",
        "schedule": schedule(1.0, nowfun=shared_clock.steady),
        "options": {"expires": 1.5},
    },
    # And this at midnight (UTC): note where the chains of audit events end.
    "audit heads": {
        "task": "dashboard.tasks.note_audit_heads",
        "schedule": crontab(hour="0", minute="0", nowfun=shared_clock.steady),
        "options": {"expires": 3600},
    },
}
CELERY_BEAT_MAX_LOOP_INTERVAL = 1

# Whether alerts may be sent to machines of our own network: people choose the addresses.
ALERTS_TO_PRIVATE_NETWORKS = env_bool("ALERTS_TO_PRIVATE_NETWORKS", False)

# Who may read /metrics: who brings the token, and who asks from these networks without a proxy between.
METRICS_TOKEN = env_secret("METRICS_TOKEN")
METRICS_NETWORKS = env_networks("METRICS_NETWORKS")

LOG_LEVEL = env("LOG_LEVEL", "INFO").upper()
if LOG_LEVEL not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
    raise BadEnvironment(f"LOG_LEVEL must be DEBUG, INFO, WARNING, ERROR or CRITICAL, not {LOG_LEVEL!r}.")
LOG_FORMAT = env("LOG_FORMAT", "plain")
if LOG_FORMAT not in ("plain", "json"):
    raise BadEnvironment(f"LOG_FORMAT must be plain or json, not {LOG_FORMAT!r}.")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "redact": {"()": "anosim_dashboard.redaction.RedactSecrets"},
        "request_id": {"()": "anosim_dashboard.log_lines.RequestId"},
    },
    "formatters": {
        "plain": {"()": "anosim_dashboard.log_lines.PlainLine"},
        "json": {"()": "anosim_dashboard.log_lines.JsonLine"},
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["redact", "request_id"]}
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"level": LOG_LEVEL, "propagate": True, "handlers": []},
        "uvicorn": {"level": "WARNING" if LOG_LEVEL == "INFO" else LOG_LEVEL},
        "django.server": {"level": LOG_LEVEL, "propagate": True, "handlers": []},
        # SQL with its values has no place in a log, whatever the level.
        "django.db.backends": {"level": "INFO"},
        # Nor have a page's values: for each variable that a template does not find, it would write all of them.
        "django.template": {"level": "INFO"},
        "celery.app.trace": {"level": "WARNING" if LOG_LEVEL == "INFO" else LOG_LEVEL},
        "celery.worker.strategy": {"level": "WARNING" if LOG_LEVEL == "INFO" else LOG_LEVEL},
        # Where alerts go stands in what these two would tell: a token in the path opens somebody's chat.
        "apprise": {"level": "CRITICAL"},
        "urllib3": {"level": "WARNING"},
        # It tells of each security key that is used.
        "fido2": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING" if LOG_LEVEL == "INFO" else LOG_LEVEL},
    },
}

SILENCED_SYSTEM_CHECKS = [
    "security.W008",  # TLS is the proxy's; it redirects
    # For a year, and on hosts that are not ours: whoever owns the domain decides these, at the proxy.
    "security.W005",
    "security.W021",
]

os.environ.setdefault("PGCONNECT_TIMEOUT", "5")
