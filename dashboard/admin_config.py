"""Puts our own site in the place of Django's admin site. Apart from `dashboard.admin`, which registers with it."""

from django.contrib.admin.apps import AdminConfig


class DashboardAdminConfig(AdminConfig):
    default_site = "dashboard.admin_site.DashboardAdminSite"
