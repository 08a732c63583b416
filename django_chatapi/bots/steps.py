"""Ask a bot, and hand on each step of its answer as soon as it is there."""

import inspect
import logging
import threading
import traceback
from collections.abc import AsyncIterable, Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from typing import Any, cast

from asgiref.sync import async_to_sync, sync_to_async

from ..exceptions import BotFailed
from ..wire.json import UnsafeJSON, check_storable
from .base import Answer, Bot, Question

logger = logging.getLogger("django_chatapi.bots")

_FIELD_TYPES: dict[str, tuple[type, ...]] = {
    "replies": (list, tuple),
    "nlp_class": (str, type(None)),
    "confidence": (int, float, type(None)),
    "debug_data": (list, tuple),
    "end_session": (bool,),
}


def run(
    bot: Bot, question: Question, emit: Callable[[Answer], None], last: Callable[[Answer], None] | None = None
) -> None:
    """Ask the bot and call ``emit`` with each step, in this thread, whatever form the bot answers in.

    Args:
        last: called in place of ``emit`` with a step behind which there is none, where that is known: not of
            generators, whose steps are handed on before they are asked for more.

    Raises:
        BotFailed: the bot raised, or answered something that is no answer. What was emitted before stands.
            Errors of ``emit`` pass through as they are.
    """
    try:
        given: Any = bot.answer(question)
    except BaseException as error:
        raise _failure(bot, error) from error
    way = _Way(emit, last or emit)
    if isinstance(given, (Awaitable, AsyncIterable)):
        # One loop for the whole answer: what an async generator opens in one step, it may use in the next.
        async_to_sync(_run_async)(bot, given, way)
        return
    steps = _steps(given)
    way.whole = isinstance(given, _WHOLE)
    while True:
        try:
            answer = checked(next(steps))
        except StopIteration:
            break
        except BaseException as error:
            way.release()
            raise _failure(bot, error) from error
        way.put(answer)
    way.end()


async def _run_async(bot: Bot, given: Any, way: "_Way") -> None:
    try:
        if isinstance(given, Awaitable):
            given = await given
        way.whole = isinstance(given, _WHOLE)
        steps = aiter(given) if isinstance(given, AsyncIterable) else _aiter(_steps(given))
    except BaseException as error:
        raise _failure(bot, error) from error
    while True:
        try:
            answer = checked(await anext(steps))
        except StopAsyncIteration:
            break
        except BaseException as error:
            await sync_to_async(way.release)()
            raise _failure(bot, error) from error
        await sync_to_async(way.put)(answer)
    await sync_to_async(way.end)()


#: Answers that are whole when they are given.
_WHOLE = (Answer, str, list, tuple)


class _Way:
    """Hands on the steps of an answer; of a whole one, each when it is known whether another one follows."""

    whole = False

    def __init__(self, emit: Callable[[Answer], None], last: Callable[[Answer], None]) -> None:
        self._emit, self._last = emit, last
        self._held: Answer | None = None

    def put(self, answer: Answer) -> None:
        self.release()
        if self.whole:
            self._held = answer
        else:
            self._emit(answer)

    def release(self) -> None:
        """What is held goes out as one of several."""
        if self._held is not None:
            held, self._held = self._held, None
            self._emit(held)

    def end(self) -> None:
        if self._held is not None:
            self._last(self._held)


async def _aiter(steps: Iterable[Any]) -> Any:
    for step in steps:
        yield step


def _steps(given: Any) -> Iterator[Any]:
    """What a bot returned, step by step. A generator may also ``return`` its last step."""
    if isinstance(given, (Answer, str)):
        yield given
        return
    if given is None:
        raise BotFailed("The bot returned None; to say nothing, return Answer().")
    if isinstance(given, (Mapping, bytes)) or not isinstance(given, Iterable):
        raise BotFailed(
            f"The bot returned {type(given).__name__}; expected an Answer, a text, or several of them."
        )
    last = yield from cast("Generator[Any, None, Any]", given)
    if last is not None:
        yield last


def checked(step: Any) -> Answer:
    """The step as an answer that can be stored and sent: a copy, since a bot may go on with what it gave.

    Raises:
        BotFailed: it cannot.
    """
    if isinstance(step, str):
        step = Answer.text(step)
    if not isinstance(step, Answer):
        raise BotFailed(f"The bot gave {type(step).__name__} as a step; expected an Answer or a text.")
    for name, kinds in _FIELD_TYPES.items():
        value = getattr(step, name)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise BotFailed(f"{name} of the answer cannot be {type(value).__name__}.")
    for index, reply in enumerate(step.replies):
        if not isinstance(reply, dict) or not isinstance(reply.get("type"), str) or not reply["type"]:
            raise BotFailed(f"replies[{index}] must be an object with a type.")
    try:
        return Answer(**check_storable({name: getattr(step, name) for name in _FIELD_TYPES}))
    except UnsafeJSON as error:
        raise BotFailed(f"The answer cannot be sent. {error}") from error


def _failure(bot: Bot, error: BaseException) -> BotFailed:
    """The error as operators read it: one line that names the type, the text and the place.

    Deliberately no traceback in the log line, which the contract forbids (section 3); it is there at DEBUG.

    Raises:
        BaseException: what ends the process. Signals interrupt the main thread only: a ``SystemExit`` there
            is no word of the bot's, and the sweep asks again; in any other thread it is.
    """
    if not isinstance(error, Exception) and threading.current_thread() is threading.main_thread():
        raise error
    logger.debug("The bot %s raised.", type(bot).__name__, exc_info=error)
    if isinstance(error, BotFailed):
        return error
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename != __file__]
    place = f" ({inspect.getmodulename(own[-1].filename)}, line {own[-1].lineno})" if own else ""
    try:
        text = str(error)[:1000]
    except Exception:
        text = "(its text cannot be had)"
    return BotFailed(f"{type(error).__name__}: {text}{place}")
