"""Addresses of the admin's pages."""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.urls import reverse


def page_url(site: AdminSite, page: str, *keys: Any) -> str:
    """The address of one of this app's pages in an admin site.

    Args:
        page: the model and the page, such as ``delivery_change``.
        keys: the primary key of the object that it shows, if it shows one.
    """
    return reverse(f"admin:django_chatapi_{page}", args=[quote(key) for key in keys], current_app=site.name)
