"""The ASGI entry: ``uvicorn example_project.asgi:application``."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")
django_application = get_asgi_application()  # loads the apps, before anything that needs them is imported

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler  # noqa: E402
from django.urls import re_path  # noqa: E402

from django_chatapi.lifespan import lifespan  # noqa: E402
from django_chatapi.routing import events_path  # noqa: E402

# Static files too, so that the demo needs no proxy; a real site has one, or whitenoise.
site = ASGIStaticFilesHandler(django_application)

# What the events door does not take goes on to Django.
routes = [events_path("chatapi/"), re_path("", site)]  # type: ignore[arg-type]
http = URLRouter(routes)  # type: ignore[no-untyped-call]

application = ProtocolTypeRouter({"http": http, "lifespan": lifespan})  # type: ignore[no-untyped-call]
