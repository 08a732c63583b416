"""``GET {token}/client/{clientId}/history`` (contract, section 7)."""

import json
from collections.abc import Iterator
from typing import Any

from django.http import HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from .. import selectors
from ..models import Message
from ..selectors import Span
from ..wire.envelope import history_item, make_cursor, read_cursor
from ..wire.inputs import HistoryInput
from . import schema
from .base import ChannelViewSet, validated
from .streaming import streamed


class HistoryViewSet(ChannelViewSet):
    """All that was said."""

    @schema.history
    def history(self, request: Request, token: str, client_id: str) -> HttpResponseBase:
        client_id = self.client_from_path(request)["client_id"]
        valid = validated(HistoryInput, request.query_params.dict())
        limit = valid.pop("limit", None)
        cursor = valid.pop("cursor", None)
        after = read_cursor(cursor) if cursor is not None else 0
        client = selectors.find_client(self.channel, client_id)
        if client is None:
            return Response({"hasMore": False, "cursor": make_cursor(after), "messages": []})
        span = selectors.history_span(client, after=after, **valid)
        if limit is None:
            return self._stream(request, span)
        page = selectors.history_page(span, limit + 1)
        messages = page[:limit]
        return Response(
            {
                "hasMore": len(page) > limit,
                "cursor": make_cursor(messages[-1].sequence if messages else after),
                "messages": [self._item(message, client_id) for message in messages],
            }
        )

    def _item(self, message: Message, client_id: str) -> dict[str, Any]:
        return history_item(message, token=self.token, client_id=client_id)

    def _stream(self, request: Request, span: Span) -> StreamingHttpResponse:
        return streamed(request, self._chunks(span))

    def _chunks(self, span: Span) -> Iterator[str]:
        yield f'{{"hasMore":false,"cursor":"{make_cursor(max(span.after, span.upto))}","messages":['
        comma = ""
        for page in selectors.history(span):
            items = [self._item(message, span.client.client_id) for message in page]
            yield comma + ",".join(json.dumps(item, ensure_ascii=False, separators=(",", ":")) for item in items)
            comma = ","
        yield "]}"
