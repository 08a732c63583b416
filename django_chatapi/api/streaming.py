"""Responses that are made while they are sent."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from rest_framework.request import Request


def streamed(request: Request, chunks: Iterator[bytes | str]) -> StreamingHttpResponse:
    """A JSON response of these chunks, each made when the server asks for it, under WSGI and ASGI alike.

    Under ASGI Django would read a synchronous iterator to its end before it sends the first byte.
    """
    content: Any = _in_threads(chunks) if isinstance(request._request, ASGIRequest) else chunks
    return StreamingHttpResponse(content, content_type="application/json")


async def _in_threads(chunks: Iterator[bytes | str]) -> AsyncIterator[bytes | str]:
    while (chunk := await sync_to_async(lambda: next(chunks, None))()) is not None:
        yield chunk
