"""WSGI entry, for whoever serves the pages by a WSGI server and `/live/` by the ASGI one."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anosim_dashboard.settings")
application = get_wsgi_application()
