"""Put a request to its channel's bot, and see to its answer.

No lock and no transaction is held while a bot thinks.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from django.db import close_old_connections

from .. import selectors
from ..bots import pool
from ..bots.base import Answer, Bot, Question
from ..bots.registry import InvalidOptions, UnknownBot, bot_for
from ..bots.steps import run
from ..conf import chatapi_settings
from ..constants import AnswerState, Route
from ..exceptions import BotFailed, BotTimeout
from ..models import Message
from . import answers, leases, requests

logger = logging.getLogger("django_chatapi.bots")


def ask(*, request: Message) -> Message:
    """Ask the bot and wait, as a synchronous request does (contract, section 4).

    Returns:
        The message that holds every step that came before the bot was done, or paused for longer than
        ``RESPONSE_GAP``. A bot that goes on does so in the pool; what it says then is published as late.

    Raises:
        BotFailed: it raised, or answered nonsense, before it said anything.
        BotTimeout: it said nothing within ``SYNC_TIMEOUT``. It goes on all the same.
    """
    try:
        bot = _bot_of(request)
    except BotFailed as failure:
        return _conclude(request, [], failure, done=True)
    if bot.quick or not chatapi_settings.BOT_POOL_SIZE:
        steps: list[Answer] = []
        return _conclude(request, steps, _run(bot, request, steps.append, steps.append), done=True)
    return _Exchange(bot, request).ask()


def ask_left(*, request: Message) -> float | None:
    """Ask the bot in this thread, for nobody who waits: an asynchronous request, or one that was left behind.

    Every step is published as it comes. A bot that fails before it said anything is asked again later, up to
    ``BOT_RETRIES`` times.

    Returns:
        In how many seconds it is to be asked again; None when it is done.
    """
    with leases.kept(request):
        try:
            failure = _run(
                _bot_of(request),
                request,
                partial(_publish_late, request, AnswerState.PARTIAL),
                partial(_publish_late, request, AnswerState.ANSWERED),
            )
        except BotFailed as error:
            failure = error
        if failure and request.answer_state != AnswerState.PARTIAL:
            pause = requests.ask_again_later(request=request, failure=failure.reason)
            if pause is not None:
                _log_failure(request, failure)
                return pause
        _finish(request, failure)
    return None


class _Exchange:
    """One question that is answered in the pool while the request's thread waits for a part of the answer."""

    def __init__(self, bot: Bot, request: Message) -> None:
        self._bot = bot
        self._request = request
        self._lease = ExitStack()
        self._changed = threading.Condition()
        self._steps: list[Answer] = []
        self._last_step_at = 0.0
        self._done = False
        self._failure: BotFailed | None = None
        #: Set when the response takes no more steps.
        self._released = False
        #: Set when the response's part is stored, so that what is late is stored behind it.
        self._concluded = threading.Event()
        #: The response's part could not be stored. What follows it must not be either: the request is left as
        #: unanswered as it was, and the sweep asks again.
        self._abandoned = False

    def ask(self) -> Message:
        # From here on, not from the first moment in the pool: a question may have to queue there.
        self._lease.enter_context(leases.kept(self._request))
        try:
            pool.submit(self._think)
        except BaseException:
            self._lease.close()
            raise
        # Where connections are not kept between requests, none is held while waiting either.
        close_old_connections()
        done = self._wait()
        try:
            return _conclude(self._request, self._steps, self._failure, done=done)
        except (BotFailed, BotTimeout):
            raise
        except BaseException:
            self._abandoned = True
            raise
        finally:
            self._concluded.set()

    def _wait(self) -> bool:
        """Wait for the end, a gap or the time limit; return whether it is the end."""
        with self._changed:
            deadline = time.monotonic() + chatapi_settings.SYNC_TIMEOUT
            while not self._done:
                until = deadline
                if self._steps:
                    until = min(deadline, self._last_step_at + chatapi_settings.RESPONSE_GAP)
                if (rest := until - time.monotonic()) <= 0:
                    break
                self._changed.wait(rest)
            self._released = True
            return self._done

    def _think(self) -> None:
        with self._lease:
            emit, last = partial(self._emit, AnswerState.PARTIAL), partial(self._emit, AnswerState.ANSWERED)
            failure = _run(self._bot, self._request, emit, last)
            with self._changed:
                if not self._released:
                    self._done, self._failure = True, failure
                    self._changed.notify()
                    return
            self._concluded.wait()
            if not self._abandoned:
                _finish(self._request, failure)

    def _emit(self, state: AnswerState, step: Answer) -> None:
        with self._changed:
            if not self._released:
                self._steps.append(step)
                self._last_step_at = time.monotonic()
                self._changed.notify()
                return
        self._concluded.wait()
        if self._abandoned:
            raise answers.ClaimLost
        _publish_late(self._request, state, step)


def _bot_of(request: Message) -> Bot:
    try:
        return bot_for(request.client.channel)
    except (UnknownBot, InvalidOptions) as error:
        raise BotFailed(str(error)) from error
    except Exception as error:
        raise BotFailed(f"The bot cannot be made: {type(error).__name__}: {error}"[:1000]) from error


_Emit = Callable[[Answer], None]


def _run(bot: Bot, request: Message, emit: _Emit, last: _Emit) -> BotFailed | None:
    """Ask; return the failure, if it failed."""
    client = request.client
    question = Question(
        channel=client.channel,
        client=client,
        question_id=request.question_id,
        query=request.query,
        event_name=request.event_name,
        data=request.data,
        raw_request=request.raw_request or {},
        connection_id=request.connection_id,
        session_number=client.session_number,
        new_session=request.new_session,
        load_history=lambda limit: selectors.recent_history(client, request.sequence, limit),
    )
    try:
        run(bot, question, emit, last)
    except BotFailed as failure:
        return failure
    except answers.ClaimLost:
        logger.warning("Request %s was taken over; the rest of its answer is dropped.", request.question_id)
    return None


def _conclude(request: Message, steps: list[Answer], failure: BotFailed | None, *, done: bool) -> Message:
    """Store the response's part of the answer."""
    details = {"questionId": str(request.question_id)}
    if not steps and not done:
        raise BotTimeout(details=details)
    state = AnswerState.ANSWERED if done else AnswerState.PARTIAL
    if failure:
        _log_failure(request, failure)
        state = AnswerState.INTERRUPTED
    try:
        if failure and not steps:
            answers.close(request=request, state=AnswerState.FAILED, failure=failure.reason)
            raise BotFailed(failure.reason, details)
        return answers.publish(
            request=request,
            steps=steps or [Answer()],
            route=Route.RESPONSE,
            state=state,
            failure=failure.reason if failure else "",
        )
    except answers.ClaimLost:
        # The bot outlived its claim, and the sweep is having it asked again: that answer will be a late one.
        raise BotTimeout(details=details) from None


def _publish_late(request: Message, state: AnswerState, step: Answer) -> None:
    """Publish a step no response carries; ``PARTIAL`` if more may follow, ``ANSWERED`` if it is the last."""
    if request.route == Route.PUSH and not step.replies and not step.end_session:
        return  # nobody asked, so that nothing is no answer
    answers.publish(request=request, steps=[step], route=answers.late_route(request), state=state)


def _finish(request: Message, failure: BotFailed | None) -> None:
    """Close a request whose answers, if any, were published as they came."""
    if request.answer_state in (AnswerState.ANSWERED, AnswerState.HANDED_OVER):
        return  # with its last step, or because an agent has the client
    said_something = request.answer_state == AnswerState.PARTIAL
    try:
        if failure:
            _log_failure(request, failure)
            if said_something:
                answers.close(request=request, state=AnswerState.INTERRUPTED, failure=failure.reason)
            else:
                answers.fail(request=request, failure=failure.reason)
        elif said_something or request.route == Route.PUSH:  # nobody waits for it, or for nothing
            answers.close(request=request, state=AnswerState.ANSWERED)
        else:
            _publish_late(request, AnswerState.ANSWERED, Answer())
    except answers.ClaimLost:
        pass  # whoever took the request over closes it


def _log_failure(request: Message, failure: BotFailed) -> None:
    logger.error("Bot “%s” failed on request %s: %s", request.client.channel.bot, request.question_id, failure)
