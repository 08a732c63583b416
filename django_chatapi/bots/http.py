"""A bot behind a URL."""

import json
import threading
import time
from typing import Any

import urllib3
from rest_framework import serializers

from ..exceptions import BotFailed
from ..wire.bot_protocol import UnreadableAnswer, question_body, read_answers
from ..wire.json import UnsafeJSON, loads
from .base import Answer, Bot, Question

#: Largest answer that is read, in bytes.
MAX_ANSWER_BYTES = 4 * 1024 * 1024
#: Bytes read between two looks at the clock.
_CHUNK = 64 * 1024


class HttpBot(Bot):
    """POSTs each question as JSON and reads ``{"replies": [...]}`` or ``{"answers": [{"replies": [...]}, …]}``.

    Both bodies are described in the documentation on bots. The URL is set by the site's own staff, so inner
    addresses are allowed; redirects are not followed and proxies of the environment are not used.
    """

    class Options(serializers.Serializer[Any]):
        url = serializers.URLField(help_text="Where the question is sent with POST.")
        timeout = serializers.FloatField(
            default=25.0, min_value=0.1, max_value=600, help_text="Seconds for the whole exchange."
        )
        headers = serializers.DictField(
            child=serializers.CharField(), required=False, help_text="Sent along, such as Authorization."
        )

    _pool: urllib3.PoolManager | None = None
    _pool_lock = threading.Lock()

    def answer(self, question: Question) -> list[Answer]:
        body = question_body(
            question_id=str(question.question_id),
            client_id=question.client.client_id,
            connection_id=question.connection_id,
            channel=question.channel.name,
            query=question.query,
            event_name=question.event_name,
            data=question.data,
            raw_request=question.raw_request,
            session_number=question.session_number,
            new_session=question.new_session,
        )
        try:
            return [Answer(**answer) for answer in read_answers(loads(self._exchange(body)))]
        except UnsafeJSON as error:
            raise BotFailed(
                f"The bot at {self._where()} answered with something else than JSON: {error}"
            ) from error
        except UnreadableAnswer as error:
            raise BotFailed(f"The bot at {self._where()} answered in another shape: {error}.") from error

    def _exchange(self, body: dict[str, Any]) -> bytes:
        """POST the body and read the answer, all within the timeout."""
        seconds = float(self.options["timeout"])
        deadline = time.monotonic() + seconds
        try:
            response = self._connections().request(
                "POST",
                self.options["url"],
                body=json.dumps(body).encode(),
                headers={"Content-Type": "application/json", "Accept": "application/json"}
                | dict(self.options.get("headers") or {}),
                timeout=urllib3.Timeout(total=seconds),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            with response:
                if response.status >= 300:
                    raise BotFailed(f"The bot at {self._where()} answered with status {response.status}.")
                return self._read(response, deadline, seconds)
        except urllib3.exceptions.TimeoutError as error:
            raise self._too_slow(seconds) from error
        except urllib3.exceptions.HTTPError as error:
            raise BotFailed(f"The bot at {self._where()} cannot be reached: {type(error).__name__}.") from error

    def _read(self, response: urllib3.BaseHTTPResponse, deadline: float, seconds: float) -> bytes:
        # The pool's own timeout counts from packet to packet; one byte a second would pass it for ever.
        content = bytearray()
        while chunk := response.read1(_CHUNK):
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                raise BotFailed(f"The bot at {self._where()} answered with more than {MAX_ANSWER_BYTES} bytes.")
            if time.monotonic() > deadline:
                raise self._too_slow(seconds)
        return bytes(content)

    def _too_slow(self, seconds: float) -> BotFailed:
        return BotFailed(f"The bot at {self._where()} did not answer within {seconds:g} seconds.")

    def _where(self) -> str:
        """The address without user, password, query and fragment, which may hold secrets."""
        url = urllib3.util.parse_url(self.options["url"])
        return f"{url.scheme}://{url.netloc}{url.path or '/'}"

    def _connections(self) -> urllib3.PoolManager:
        with self._pool_lock:
            if self._pool is None:
                self._pool = urllib3.PoolManager(num_pools=1, maxsize=16)
            return self._pool
