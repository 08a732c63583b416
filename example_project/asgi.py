"""The ASGI entry: ``uvicorn example_project.asgi:application``."""

import os

from channels.routing import ProtocolTypeRouter
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")

# Static files too, so that the demo needs no proxy; a real site has one, or whitenoise.
application = ProtocolTypeRouter({"http": ASGIStaticFilesHandler(get_asgi_application())})  # type: ignore[no-untyped-call]
