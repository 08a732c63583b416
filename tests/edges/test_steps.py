"""Every form in which a bot may answer, and every way in which it may fail."""

import asyncio
import dataclasses
import logging
import threading

import pytest

from django_chatapi.bots import Answer
from django_chatapi.bots.steps import run
from django_chatapi.exceptions import BotFailed
from tests.edges.conftest import Says, make_question

ONE, TWO = Answer.text("one"), Answer.text("two", nlp_class="/Two", end_session=True)


async def coroutine(result):
    await asyncio.sleep(0)
    return result


async def async_steps(*steps):
    for step in steps:
        await asyncio.sleep(0)
        yield step


def steps_of(*steps):
    yield from steps


def returning(*steps, last):
    yield from steps
    return last


class OwnIterator:
    def __init__(self, *steps):
        self.steps = list(steps)

    def __iter__(self):
        return self

    def __next__(self):
        if not self.steps:
            raise StopIteration
        return self.steps.pop(0)


class OwnAwaitable:
    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return ONE


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda q: ONE, [ONE]),
        (lambda q: "one", [ONE]),
        (lambda q: "", [Answer.text("")]),
        (lambda q: Answer(), [Answer()]),
        (lambda q: [ONE, "two"], [ONE, Answer.text("two")]),
        (lambda q: (TWO, ONE), [TWO, ONE]),
        (lambda q: [], []),
        (lambda q: iter([ONE]), [ONE]),
        (lambda q: map(str.lower, ["ONE"]), [ONE]),
        (lambda q: OwnIterator(ONE, TWO), [ONE, TWO]),
        (lambda q: steps_of(ONE, "two", TWO), [ONE, Answer.text("two"), TWO]),
        (lambda q: steps_of(), []),
        (lambda q: returning(ONE, last=TWO), [ONE, TWO]),
        (lambda q: coroutine(ONE), [ONE]),
        (lambda q: coroutine("one"), [ONE]),
        (lambda q: coroutine([ONE, "two"]), [ONE, Answer.text("two")]),
        (lambda q: coroutine(steps_of(ONE, TWO)), [ONE, TWO]),
        (lambda q: coroutine(async_steps(ONE, TWO)), [ONE, TWO]),
        (lambda q: coroutine([]), []),
        (lambda q: async_steps(ONE, "two", TWO), [ONE, Answer.text("two"), TWO]),
        (lambda q: async_steps(), []),
        (lambda q: OwnAwaitable(), [ONE]),
    ],
)
def test_every_form_of_an_answer(ask, answer, expected):
    assert ask(answer) == expected


def test_a_bot_is_asked_with_the_question(ask):
    asked = []
    ask(lambda question: asked.append(question) or "", query="hi", connection_id="tab-1")
    (question,) = asked
    assert (question.query, question.event_name, question.connection_id) == ("hi", None, "tab-1")
    assert dataclasses.is_dataclass(question)
    with pytest.raises(dataclasses.FrozenInstanceError):
        question.query = "other"


def test_each_step_is_handed_on_before_the_next_one_is_thought_of():
    course = []

    def answer(question):
        course.append("thinks of one")
        yield "one"
        course.append("thinks of two")
        yield "two"

    run(Says(answer), make_question(), lambda step: course.append(step.replies[0]["text"]))
    assert course == ["thinks of one", "one", "thinks of two", "two"]


def test_so_is_each_step_of_an_async_bot():
    course = []

    async def answer(question):
        course.append("thinks of one")
        yield "one"
        course.append("thinks of two")
        yield "two"

    run(Says(answer), make_question(), lambda step: course.append(step.replies[0]["text"]))
    assert course == ["thinks of one", "one", "thinks of two", "two"]


def test_steps_are_handed_on_in_the_thread_that_asks():
    # Where Django's connections of this request live.
    threads = []
    run(Says(lambda q: async_steps(ONE)), make_question(), lambda step: threads.append(threading.current_thread()))
    assert threads == [threading.current_thread()]


def test_an_async_bot_has_one_loop_for_its_whole_answer(ask):
    loops = []

    async def answer(question):
        for _ in range(3):
            loops.append(asyncio.get_running_loop())
            yield "step"

    ask(answer)
    assert len(set(loops)) == 1


def test_a_step_is_what_it_was_when_it_was_given(ask):
    def answer(question):
        replies = [{"type": "text", "text": "one"}]
        step = Answer(replies)
        yield step
        replies.append({"type": "text", "text": object()})
        step.replies = "nonsense"
        step.end_session = True

    assert ask(answer) == [ONE]


def test_a_subclass_of_answer_is_an_answer(ask):
    @dataclasses.dataclass
    class MyAnswer(Answer):
        own: object = object()

    assert ask(lambda q: MyAnswer([{"type": "text", "text": "one"}])) == [ONE]


REPLIES = [{"type": "text", "text": "one"}]


@pytest.mark.parametrize(
    ("nonsense", "says"),
    [
        (None, "returned None; to say nothing, return Answer()"),
        (7, "returned int"),
        (True, "returned bool"),
        ({"replies": []}, "returned dict"),
        (b"one", "returned bytes"),
        (object(), "returned object"),
        (Answer, "returned type"),
        ([None], "gave NoneType as a step"),
        ([{"type": "text"}], "gave dict as a step"),
        ([[ONE]], "gave list as a step"),
        ([b"one"], "gave bytes as a step"),
        ([Answer], "gave type as a step"),
        (Answer([{"text": "one"}]), r"replies\[0\] must be an object with a type"),
        (Answer([*REPLIES, {"type": ""}]), r"replies\[1\] must be an object with a type"),
        (Answer([{"type": None}]), r"replies\[0\] must be an object with a type"),
        (Answer([{"type": 7}]), r"replies\[0\] must be an object with a type"),
        (Answer(["one"]), r"replies\[0\] must be an object with a type"),
        (Answer([None]), r"replies\[0\] must be an object with a type"),
        (Answer(None), "replies of the answer cannot be NoneType"),
        (Answer("one"), "replies of the answer cannot be str"),
        (Answer({"type": "text"}), "replies of the answer cannot be dict"),
        (Answer(REPLIES, nlp_class=7), "nlp_class of the answer cannot be int"),
        (Answer(REPLIES, confidence="high"), "confidence of the answer cannot be str"),
        (Answer(REPLIES, confidence=True), "confidence of the answer cannot be bool"),
        (Answer(REPLIES, debug_data={"a": 1}), "debug_data of the answer cannot be dict"),
        (Answer(REPLIES, end_session=1), "end_session of the answer cannot be int"),
        (Answer(REPLIES, end_session=None), "end_session of the answer cannot be NoneType"),
        (Answer(REPLIES, confidence=float("nan")), "cannot be sent"),
        (Answer(REPLIES, confidence=float("inf")), "cannot be sent"),
        (Answer([{"type": "raw", "when": object()}]), "not JSON serializable"),
        (Answer([{"type": "raw", "value": {1, 2}}]), "not JSON serializable"),
        (Answer([{"type": "raw", "value": [10**5000]}]), "cannot be sent"),
        (Answer(REPLIES, debug_data=[b"x"]), "not JSON serializable"),
        (Answer.text("\ud800"), "cannot be sent"),
        (Answer.text("one", nlp_class="\udfff"), "cannot be sent"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
@pytest.mark.parametrize("form", ["plain", "coroutine", "generator", "async generator"])
def test_nonsense_is_a_failure_that_says_what_it_was(ask, nonsense, says, form):
    several = isinstance(nonsense, list)
    forms = {
        "plain": lambda q: nonsense,
        "coroutine": lambda q: coroutine(nonsense),
        "generator": lambda q: steps_of(*nonsense) if several else steps_of(nonsense),
        "async generator": lambda q: async_steps(*nonsense) if several else async_steps(nonsense),
    }
    in_steps = "generator" in form
    if in_steps and "returned" in says:
        says = "as a step"
    with pytest.raises(BotFailed, match=says):
        ask(forms[form])


class Unspeakable(Exception):
    def __str__(self):
        raise ValueError("no words")


def raising(error):
    def answer(question):
        raise error

    return answer


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("no such thing"), "ValueError: no such thing"),
        (KeyError("k"), "KeyError: 'k'"),
        (AssertionError(), "AssertionError"),
        (StopIteration("early"), "StopIteration|RuntimeError"),
        (StopAsyncIteration("early"), "StopAsyncIteration|RuntimeError"),
        (RecursionError("deep"), "RecursionError"),
        (TimeoutError(), "TimeoutError"),
        (BotFailed("in its own words"), "^in its own words$"),
        (Unspeakable(), "Unspeakable"),
        (ValueError("of two\nlines"), "of two lines"),
        (BotFailed(7), "^7$"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)  # fmt: skip
@pytest.mark.parametrize(
    "form", ["plain", "coroutine", "generator", "async generator", "in a coroutine's generator"]
)
def test_whatever_is_raised_at_once_is_the_bots_failure(ask, error, says, form):
    async def as_coroutine(question):
        raise error

    def as_generator(question):
        raise error
        yield

    async def as_async_generator(question):
        raise error
        yield

    async def as_coroutine_with_generator(question):
        return as_generator(question)

    forms = {
        "plain": raising(error),
        "coroutine": as_coroutine,
        "generator": as_generator,
        "async generator": as_async_generator,
        "in a coroutine's generator": as_coroutine_with_generator,
    }
    with pytest.raises(BotFailed, match=says) as failed:
        ask(forms[form])
    assert "\n" not in failed.value.reason


def test_a_failure_names_the_place():
    with pytest.raises(BotFailed, match=r"ValueError: gone \(test_steps, line \d+\)$"):
        run(Says(raising(ValueError("gone"))), make_question(), print)


def test_a_failure_is_cut_to_what_a_person_reads():
    with pytest.raises(BotFailed) as failed:
        run(Says(raising(ValueError("x" * 100_000))), make_question(), print)
    assert len(failed.value.reason) < 1_200


def test_a_failure_can_be_stored_on_every_database():
    # PostgreSQL's text holds no U+0000, and no UTF-8 text half a surrogate pair.
    with pytest.raises(BotFailed) as failed:
        run(Says(raising(ValueError("a\0b\ud800c"))), make_question(), print)
    assert failed.value.reason.startswith("ValueError: a b c")


def test_what_came_before_a_failure_stands():
    def answer(question):
        yield "one"
        raise ValueError("then nothing")

    async def async_answer(question):
        yield "one"
        raise ValueError("then nothing")

    for bot in (answer, async_answer):
        steps = []
        with pytest.raises(BotFailed, match="then nothing"):
            run(Says(bot), make_question(), steps.append)
        assert steps == [ONE]


def test_errors_of_the_listener_are_not_the_bots():
    def gone(step):
        raise ConnectionError("the listener left")

    for form in (lambda q: ONE, lambda q: steps_of(ONE), lambda q: coroutine(ONE), lambda q: async_steps(ONE)):
        with pytest.raises(ConnectionError, match="the listener left"):
            run(Says(form), make_question(), gone)


class OddExit(BaseException):
    pass


ENDS = [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError(), OddExit("odd")]


@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
def test_in_a_thread_of_its_own_a_bot_can_end_nothing_but_its_answer(error):
    """Signals reach the main thread only: there such an error ends the process, elsewhere it is the bot's."""

    async def async_answer(question):
        raise error

    async def async_steps_that_end(question):
        yield "one"
        raise error

    def steps_that_end(question):
        yield "one"
        raise error

    failures = []

    def think():
        for answer in (raising(error), steps_that_end, async_answer, async_steps_that_end):
            try:
                run(Says(answer), make_question(), lambda step: None)
            except BotFailed as failure:
                failures.append(failure.reason)

    thread = threading.Thread(target=think)
    thread.start()
    thread.join()
    assert [type(error).__name__ in failure for failure in failures] == [True] * 4


def test_in_the_main_thread_the_process_may_be_ended(ask):
    with pytest.raises(SystemExit):
        ask(raising(SystemExit(1)))
    with pytest.raises(KeyboardInterrupt):
        ask(lambda q: (_ for _ in [raising(KeyboardInterrupt())(q)]))


def test_no_traceback_and_one_line_at_any_level_but_debug(caplog):
    caplog.set_level(logging.INFO, "django_chatapi.bots")
    with pytest.raises(BotFailed):
        run(Says(raising(ValueError("gone"))), make_question(), print)
    assert not caplog.records
    caplog.set_level(logging.DEBUG, "django_chatapi.bots")
    with pytest.raises(BotFailed):
        run(Says(raising(ValueError("gone"))), make_question(), print)
    assert [bool(record.exc_info) for record in caplog.records] == [True]
