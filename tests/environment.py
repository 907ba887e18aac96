"""The environment of the tests, set before anything reads settings (loaded by `-p` in pyproject.toml).

The tests have a data folder of their own: an install's database, keys and sockets are never touched.
"""

import os
import tempfile
from pathlib import Path

_folder = tempfile.TemporaryDirectory(prefix="dashboard-tests-")
DATA_DIR = Path(_folder.name)
os.environ["DATA_DIR"] = _folder.name
for _name in (
    *(
        "ANOSIM_API_KEY",
        "ANOSIM_BASE_URL",
        "ANOSIM_MAX_CALLS_PER_SECOND",
        "ALLOWED_HOSTS",
        "CSRF_TRUSTED_ORIGINS",
    ),
    *("HOST", "PORT", "DEBUG", "LOG_LEVEL", "TIME_ZONE", "SECRET_KEY", "FIELD_KEYS"),
    *("MFA_REQUIRED", "TRUSTED_PROXIES", "EMAIL_URL", "EMAIL_FROM"),
    *("ADMIN_USERNAME", "ADMIN_PASSWORD", "ADMIN_EMAIL"),
):
    # Empty counts as not set, and unlike a removed one it is not filled from a .env file.
    os.environ[_name] = ""
