"""The ASGI entry: ``uvicorn example_project.asgi:application``."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")
get_asgi_application()  # loads the apps, before anything that needs them is imported

from channels.routing import ProtocolTypeRouter  # noqa: E402
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler  # noqa: E402

from django_chatapi.lifespan import lifespan  # noqa: E402

# Static files too, so that the demo needs no proxy; a real site has one, or whitenoise.
http = ASGIStaticFilesHandler(get_asgi_application())

application = ProtocolTypeRouter({"http": http, "lifespan": lifespan})  # type: ignore[no-untyped-call]
