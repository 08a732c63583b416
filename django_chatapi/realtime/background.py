"""One event loop per process, in a thread of its own, for what synchronous code needs done asynchronously.

``async_to_sync`` would build a thread, a loop and a connection to the layer for every single call.
"""

import asyncio
import os
import threading

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def background_loop() -> asyncio.AbstractEventLoop:
    """The loop, started when it is first asked for. Its thread is a daemon: nothing on it has to be finished."""
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="chatapi-realtime", daemon=True).start()
        return _loop


def _forget_after_fork() -> None:
    global _loop, _lock
    _loop = None
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)
