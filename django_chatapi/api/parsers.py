"""Read request bodies."""

from collections.abc import Mapping
from typing import IO, Any

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from ..conf import chatapi_settings
from ..exceptions import PayloadTooLarge
from ..wire.json import UnsafeJSON, check_syntax, loads


def read_body(stream: IO[bytes], limit: int) -> bytes:
    """At most ``limit`` bytes.

    Raises:
        PayloadTooLarge
    """
    body = stream.read(limit + 1)
    if len(body) > limit:
        raise PayloadTooLarge(details={"limit": limit})
    return body


class JSONObjectParser(BaseParser):
    """A JSON object in UTF-8, of at most ``MAX_BODY_BYTES``."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        try:
            body = loads(read_body(stream, chatapi_settings.MAX_BODY_BYTES))
        except UnsafeJSON as error:
            raise ParseError(str(error)) from error
        if not isinstance(body, dict):
            raise ParseError(_("The body must be a JSON object."))
        return body


class JSONValueParser(BaseParser):
    """Any JSON value in UTF-8, of at most ``MAX_STATE_BYTES``: gives the bytes as they came."""

    media_type = "application/json"

    def parse(  # type: ignore[override]
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> bytes:
        body = read_body(stream, chatapi_settings.MAX_STATE_BYTES)
        try:
            check_syntax(body)
        except UnsafeJSON as error:
            raise ParseError(str(error)) from error
        return body
