"""Pages beside Django's own."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpResponse
from django.urls import URLPattern, path


def pages_of_one(
    model_admin: "admin.ModelAdmin[Any]", views: dict[str, Callable[..., HttpResponse]]
) -> list[URLPattern]:
    """The addresses of views on one object, by their names."""
    options = model_admin.opts
    return [
        path(
            f"<path:object_id>/{name.replace('_', '-')}/",
            model_admin.admin_site.admin_view(view),
            name=f"{options.app_label}_{options.model_name}_{name}",
        )
        for name, view in views.items()
    ]
