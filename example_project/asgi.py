"""The ASGI entry: ``uvicorn example_project.asgi:application``."""

import gc
import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")
django_application = get_asgi_application()  # loads the apps, before anything that needs them is imported

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler  # noqa: E402
from django.urls import re_path  # noqa: E402

from django_chatapi.lifespan import lifespan  # noqa: E402
from django_chatapi.routing import console_path, events_path  # noqa: E402

# Static files too, so that the demo needs no proxy; a real site has one, or whitenoise.
site = ASGIStaticFilesHandler(django_application)

# What the events door does not take goes on to Django.
routes = [events_path("chatapi/"), re_path("", site)]  # type: ignore[arg-type]
http = URLRouter(routes)  # type: ignore[no-untyped-call]

websocket = URLRouter([console_path("chatapi-agents/")])  # type: ignore[no-untyped-call]

application = ProtocolTypeRouter({"http": http, "websocket": websocket, "lifespan": lifespan})  # type: ignore[no-untyped-call]

# A full garbage collection looks at every waiting poll, and stops the process meanwhile: for 0.4 s with 5 000.
# What was loaded so far is here to stay, and the rest is looked at a hundred times less often.
gc.freeze()
gc.set_threshold(700, 10, 1000)
