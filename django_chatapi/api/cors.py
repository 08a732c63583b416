"""Cross-origin calls, answered per channel (contract, section 3; the Fetch standard, section 3.2)."""

from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import patch_vary_headers

from ..exceptions import OriginNotAllowed
from ..models import Channel

#: What browsers may send beyond the headers that are always allowed.
ALLOWED_HEADERS = "Accept, Content-Type, Idempotency-Key, Last-Event-ID, X-Client-Signature"
#: What a page's script may read beyond the headers that it always may.
EXPOSED_HEADERS = "Retry-After"
#: How long a browser may remember a preflight answer, in seconds. Chromium caps it at two hours.
MAX_AGE = 7200


def check_origin(request: HttpRequest, channel: Channel) -> None:
    """Refuse pages that the channel does not allow. Calls from elsewhere than a browser carry no Origin, and a
    page of this very site is no cross-origin caller.

    Raises:
        OriginNotAllowed
    """
    origin = request.headers.get("Origin")
    if origin is None or channel.allows_origin(origin) or _is_same_origin(request, origin):
        return
    raise OriginNotAllowed


def add_headers(request: HttpRequest, response: HttpResponseBase, channel: Channel, methods: str) -> None:
    """Let the page that called read the response, if the channel allows it."""
    patch_vary_headers(response, ["Origin"])
    origin = request.headers.get("Origin")
    if origin is None or not channel.allows_origin(origin):
        return
    response["Access-Control-Allow-Origin"] = origin
    response["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
    if request.method == "OPTIONS":
        response["Access-Control-Allow-Methods"] = methods
        response["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
        response["Access-Control-Max-Age"] = str(MAX_AGE)


def _is_same_origin(request: HttpRequest, origin: str) -> bool:
    return origin == f"{request.scheme}://{request.get_host()}"
