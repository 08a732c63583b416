"""The end of an ASGI process.

A server such as uvicorn ends with the signal that it was sent, which leaves Python no time to finish anything. The
ASGI lifespan protocol does::

    application = ProtocolTypeRouter({"http": get_asgi_application(), "lifespan": lifespan})
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from .bots import pool


async def lifespan(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Give the bots that are still thinking their grace period before the process ends."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            await asyncio.to_thread(pool.drain)
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
