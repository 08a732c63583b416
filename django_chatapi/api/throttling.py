"""The limit of section 3's 429."""

import hashlib
from typing import Any

from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from ..conf import chatapi_settings


class ChannelThrottle(SimpleRateThrottle):
    """``THROTTLE_RATE`` calls per channel and network address; behind a proxy, mind DRF's ``NUM_PROXIES``."""

    scope = "chatapi"

    def get_rate(self) -> str | None:
        return chatapi_settings.THROTTLE_RATE

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        # A digest: callers write X-Forwarded-For themselves, and memcached refuses long keys.
        # On a Unix socket without a proxy there is no address: all callers count as one.
        address = hashlib.sha256((self.get_ident(request) or "").encode()).hexdigest()
        channel: Any = view.channel  # type: ignore[attr-defined]
        return self.cache_format % {"scope": self.scope, "ident": f"{channel.pk}_{address}"}
