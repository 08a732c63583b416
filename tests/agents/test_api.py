"""The agents' API, call by call: the literal JSON, lists in their orders, hostile input, and one whole story."""

import base64
import datetime as dt
import json

import pytest
from django.db import OperationalError
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from django_chatapi.actions import presences
from django_chatapi.constants import PresenceState
from django_chatapi.models import (
    AgentGroup,
    AgentPresence,
    CannedAnswer,
    Client,
    Dialog,
    DialogChange,
    DialogNote,
    Message,
)
from django_chatapi.tokens import mask
from django_chatapi.wire.dialogs import make_place
from django_chatapi.wire.envelope import make_cursor
from tests.conftest import Caller
from tests.doors.test_any_body import ANY_JSON, ANY_TEXT, EDGES

from .api import ROW, START, Colleague, make_dialog, refused
from .conftest import client_of, dialog_of, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("nothing_queued")]


@pytest.fixture
def kim(agent):
    return Colleague(agent)


@pytest.fixture
def lou(other):
    return Colleague(other)


def is_time(text):
    return dt.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f") and len(text) == 23


# Rows and lists


def test_a_row_says_all_that_a_list_shows(channel, kim):
    dialog = make_dialog(channel, "ann", group="Support", unread=2, last_message="Where is it?")

    assert kim.look("dialogs") == {
        "hasMore": False,
        "cursor": make_place((START, dialog.pk)),
        "dialogs": [
            {
                "id": dialog.pk,
                "clientId": "ann",
                "channel": "Test",
                "channelId": channel.pk,
                "state": "waiting",
                "agent": None,
                "agentName": None,
                "group": "Support",
                "oneTime": False,
                "waitingSince": "2026-11-23T10:00:00.000",
                "createdAt": "2026-11-23T10:00:00.000",
                "closedAt": None,
                "lastMessageAt": "2026-11-23T10:00:00.000",
                "unread": 2,
                "lastMessage": "Where is it?",
            }
        ],
    }


def test_a_row_names_its_agent_and_its_end(channel, agent, other, kim):
    make_dialog(channel, "ann", state="open", agent=agent)
    make_dialog(channel, "bob", state="closed", agent=other, one_time=True, minutes=1.5)

    (mine,), (closed,) = (
        kim.look("dialogs", state="mine")["dialogs"],
        kim.look("dialogs", state="closed")["dialogs"],
    )

    assert [mine["state"], mine["agent"], mine["agentName"], mine["waitingSince"]] == [
        "open",
        "kim",
        "Kim Lee",
        None,
    ]
    # A colleague without a full name is called by the username.
    assert [closed["agent"], closed["agentName"], closed["oneTime"]] == ["lou", "lou", True]
    assert closed["closedAt"] == "2026-11-23T10:01:30.000"


def test_an_empty_list_has_no_cursor(kim):
    for state in ("waiting", "mine", "open", "closed"):
        assert kim.look("dialogs", state=state) == {"hasMore": False, "cursor": None, "dialogs": []}


def test_each_list_has_its_order(channel, agent, other, kim):
    for name, minutes in (("b", 2), ("a", 1), ("c", 3)):
        make_dialog(channel, f"waits {name}", minutes=minutes)
        make_dialog(channel, f"mine {name}", state="open", agent=agent, minutes=minutes)
        make_dialog(channel, f"other {name}", state="open", agent=other, minutes=minutes + 0.5)
        make_dialog(channel, f"closed {name}", state="closed", agent=other, minutes=minutes)

    assert kim.listed("waiting") == ["waits a", "waits b", "waits c"]
    assert kim.listed("mine") == ["mine c", "mine b", "mine a"]
    assert kim.listed("open") == ["other c", "mine c", "other b", "mine b", "other a", "mine a"]
    assert kim.listed("closed") == ["closed c", "closed b", "closed a"]


@pytest.mark.parametrize("state", ["waiting", "mine", "open", "closed"])
@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_give_each_row_once_also_where_times_are_the_same(channel, agent, kim, state, limit):
    kind = "open" if state == "mine" else state
    for number in range(7):
        # In groups of the agent's and for all, so that a page is put together of several.
        make_dialog(
            channel,
            f"client {number}",
            state=kind,
            agent=agent if kind == "open" else None,
            group=["Support", None][number % 2],
            minutes=number // 3,
        )

    whole = kim.listed(state)
    pages = kim.pages(state, limit=limit)

    assert len(set(whole)) == 7
    assert [name for page in pages for name in page] == whole
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)


def test_paging_while_rows_come_and_go_skips_and_repeats_none_that_stays(channel, kim):
    for number in range(6):
        make_dialog(channel, f"client {number}", minutes=number)
    first = kim.look("dialogs", limit=3)

    Dialog.objects.get(client__client_id="client 2").delete()  # the last row of the page
    Dialog.objects.filter(client__client_id="client 4").update(state="closed", waiting_since=None, closed_at=START)
    make_dialog(channel, "before", minutes=-1)
    make_dialog(channel, "between", minutes=4.5)
    second = kim.look("dialogs", limit=3, cursor=first["cursor"])

    assert [row["clientId"] for row in first["dialogs"]] == ["client 0", "client 1", "client 2"]
    assert [row["clientId"] for row in second["dialogs"]] == ["client 3", "between", "client 5"]
    assert second["hasMore"] is False


def test_behind_the_last_row_the_cursor_stays_where_it_is(channel, kim):
    make_dialog(channel, "ann")
    end = kim.look("dialogs")

    again = kim.look("dialogs", cursor=end["cursor"])
    make_dialog(channel, "bob", minutes=1)

    assert again == {"hasMore": False, "cursor": end["cursor"], "dialogs": []}
    assert kim.listed("waiting", cursor=again["cursor"]) == ["bob"]


def test_a_page_has_fifty_rows_unless_told_otherwise(channel, kim):
    for number in range(101):
        make_dialog(channel, f"client {number:03}", minutes=number)

    assert [len(page) for page in kim.pages("waiting")] == [50, 50, 1]
    assert [len(page) for page in kim.pages("waiting", limit=100)] == [100, 1]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("ann", ["ann", "ANNA", "Ann 100%"]),
        ("ANN", ["ann", "ANNA", "Ann 100%"]),
        ("ann 1", ["Ann 100%"]),
        ("nn", []),
        ("%", ["%off"]),
        ("_", ["_under"]),
        ("\\", ["\\back"]),
        ("'", ["' OR 1=1"]),
        (" ", []),  # says nothing: refused below
        ("éc", ["École"]),
        ("ÉCOLE", ["École"]),
        ("ВАНЯ", ["Ваня"]),
        ("ваня", ["Ваня"]),
        ("😀", ["😀 smile"]),
        ("STRASSE", []),
        ("straße", ["Straße"]),
        ("İst", ["İstanbul"]),
        ("x" * 255, ["x" * 255]),
    ],
)
def test_search_is_for_the_beginning_of_a_client_id_in_any_case(channel, kim, search, found):
    names = ["ann", "ANNA", "Ann 100%", "%off", "_under", "\\back", "' OR 1=1", "École", "Ваня", "😀 smile"]
    for number, name in enumerate([*names, "Straße", "İstanbul", "x" * 255]):
        make_dialog(channel, name, minutes=number)

    response = kim.get("dialogs", search=search)

    if search.strip():
        assert [row["clientId"] for row in response.json()["dialogs"]] == found
    else:
        assert refused(response) == (400, "invalid_request")


def test_search_goes_page_by_page_in_each_list(channel, agent, kim):
    for state in ("waiting", "open", "closed"):
        for number in range(3):
            holder = agent if state == "open" else None
            make_dialog(channel, f"{state} {number}", state=state, agent=holder, minutes=number)
            make_dialog(channel, f"not {state} {number}", state=state, agent=holder, minutes=number)

    assert kim.pages("waiting", search="WAIT", limit=2) == [["waiting 0", "waiting 1"], ["waiting 2"]]
    for state in ("open", "mine"):
        assert kim.pages(state, search="open", limit=2) == [["open 2", "open 1"], ["open 0"]]
    assert kim.pages("closed", search="closed", limit=2) == [["closed 2", "closed 1"], ["closed 0"]]
    assert kim.listed("waiting", search="closed") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"state": "asleep"}, "state"),
        ({"state": ""}, "state"),
        ({"state": "\0"}, "state"),
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"search": "\0"}, "search"),
        ({"search": "ann\0"}, "search"),
        ({"search": "x" * 256}, "search"),
        ({"cursor": ""}, "cursor"),
        ({"cursor": "\0"}, "cursor"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "ü"}, "cursor"),
        ({"cursor": make_cursor(5)}, "cursor"),
        ({"cursor": "A" * 10_000}, "cursor"),
    ],
)
def test_a_bad_query_is_refused_by_name(kim, query, field):
    response = kim.get("dialogs", **query)

    assert refused(response) == (400, "invalid_request")
    assert list(response.json()["args"]) == [field]


def test_unknown_parameters_and_fields_are_nobodys_business(channel, kim):
    dialog = make_dialog(channel, "ann")

    assert kim.listed("waiting", page="2", format="html") == ["ann"]
    assert kim.do(f"dialogs/{dialog.pk}/notes", {"text": "a", "agent": "lou", "id": 1})["agent"] == "kim"


PLACES = [
    "2026-11-23T10:00:00+23:59 1",
    "2026-11-23T10:00:00-23:59:59.999999 1",
    "2026-11-23T10:00:00+00:00 9223372036854775807",
    "0003-01-01T00:00:00+00:00 1",
    "9998-12-31T23:59:59.999999-23:59 1",
]
NO_PLACES = [
    "",
    " ",
    "2026-11-23T10:00:00 1",
    "2026-11-23T10:00:00+00:00",
    "2026-11-23T10:00:00+00:00 1 1",
    "2026-11-23T10:00:00+00:00 -1",
    "2026-11-23T10:00:00+00:00 9223372036854775808",
    "2026-11-23T10:00:00+00:00 " + "9" * 5000,
    "2026-11-23T10:00:00+00:00 one",
    "2026-11-23T10:00:00+24:00 1",
    "2026-02-30T10:00:00+00:00 1",
    "0001-01-01T00:00:00+00:00 1",
    "9999-12-31T23:59:59+00:00 1",
    "now 1",
]


def forged(text):
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize("state", ["waiting", "mine", "open", "closed"])
def test_a_forged_cursor_is_a_place_or_is_refused(channel, agent, kim, state):
    make_dialog(channel, "ann", state="open" if state == "mine" else state, agent=agent)

    for text in PLACES:
        assert kim.get("dialogs", state=state, cursor=forged(text)).status_code == 200, text
    for text in NO_PLACES:
        assert refused(kim.get("dialogs", state=state, cursor=forged(text))) == (400, "invalid_request"), text


# One dialog


def test_a_dialog_says_all_that_its_page_shows(say_switch, make_agent):
    channel = say_switch(
        firstMessage="Wants a refund",
        attributes={"tariff": "gold"},
        hiddenAttributes={"secret": "of the bot"},
        sendMessagesToOperator=True,
    )
    kim = Colleague(make_agent(channel, username="kim", first_name="Kim", last_name="Lee"))
    caller = Caller(channel)
    caller.send("hi", cid="tab 1")
    caller.post("client", "test", "state", body={"cart": [1, 2.50, "ü"]})
    caller.send("human", cid="tab 2")
    dialog = dialog_of()
    assert kim.do(f"dialogs/{dialog.pk}/take")["state"] == "open"
    said = kim.do(f"dialogs/{dialog.pk}/messages", {"text": "Hello"})
    note = kim.do(f"dialogs/{dialog.pk}/notes", {"text": "Careful"})

    body = kim.look(f"dialogs/{dialog.pk}")

    assert list(body)[: len(ROW)] == ROW
    assert set(body) - set(ROW) == {
        "agentGone",
        "firstMessage",
        "attributes",
        "clientInfo",
        "clientState",
        "clientStateText",
        "hasMore",
        "cursor",
        "messages",
        "notes",
        "changes",
    }
    client = client_of()
    assert [body["firstMessage"], body["attributes"], body["hasMore"]] == [
        "Wants a refund",
        {"tariff": "gold"},
        False,
    ]
    assert "of the bot" not in json.dumps(body)
    assert body["clientInfo"] == {
        "firstSeen": client.created_at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3],
        "lastActivityAt": body["lastMessageAt"],
        "session": 1,
        "connections": ["tab 2", "tab 1"],
    }
    assert body["clientState"] == {"cart": [1, 2.5, "ü"]}
    assert body["clientStateText"] == '{\n  "cart": [\n    1,\n    2.5,\n    "ü"\n  ]\n}'
    first, *_, last = body["messages"]
    assert [item["type"] for item in body["messages"]] == [
        "request",
        "botResponse",
        "request",
        "botResponse",
        "humanResponse",
    ]
    assert first == {
        "type": "request",
        "event": {
            "token": mask(channel.token),
            "clientId": "test",
            "questionId": first["event"]["questionId"],
            "query": "hi",
            "event": None,
            "cid": "tab 1",
            "data": None,
            "timestamp": first["event"]["timestamp"],
            "blockForm": False,
            "agent": None,
            "agentName": None,
        },
    }
    assert last["event"] == {**said, "status": "NOT_SENT", "agent": "kim", "agentName": "Kim Lee"}
    assert body["notes"] == [note]
    assert [
        (change["kind"], change["agent"], change["agentName"], change["detail"]) for change in body["changes"]
    ] == [
        ("handedOver", None, None, ""),
        ("agentJoined", "kim", "Kim Lee", ""),
    ]
    assert set(body["changes"][0]) == {"id", "kind", "agent", "agentName", "by", "byName", "detail", "timestamp"}
    assert is_time(body["changes"][0]["timestamp"])


def test_what_is_not_there_is_null_or_empty(channel, kim):
    dialog = make_dialog(channel, "ann")

    body = kim.look(f"dialogs/{dialog.pk}")

    nothing = ("firstMessage", "attributes", "clientState", "clientStateText", "messages", "notes", "changes")
    assert [body[name] for name in nothing] == [None, {}, None, None, [], [], []]
    assert body["hasMore"] is False
    assert body["clientInfo"]["lastActivityAt"] is None
    assert body["clientInfo"]["connections"] == []


def seen(body):
    return [item["event"]["query"] for item in body["messages"] if item["type"] == "request"]


def test_a_transcript_goes_back_page_by_page(channel, kim):
    dialog = make_dialog(channel, "ann", messages=120)

    pages = [kim.look(f"dialogs/{dialog.pk}", limit=50)]
    while pages[-1]["hasMore"]:
        pages.append(kim.look(f"dialogs/{dialog.pk}", limit=50, before=pages[-1]["cursor"]))
        make_dialog(channel, f"client {len(pages)}")  # others change nothing

    assert [len(page["messages"]) for page in pages] == [50, 50, 20]
    questions = [query for page in reversed(pages) for query in seen(page)]
    assert questions == [f"message {number}" for number in range(0, 120, 2)]
    before_all = kim.look(f"dialogs/{dialog.pk}", before=pages[-1]["cursor"])
    assert (before_all["messages"], before_all["hasMore"], before_all["cursor"]) == (
        [],
        False,
        pages[-1]["cursor"],
    )


def test_what_is_said_meanwhile_moves_no_page(channel, agent, kim):
    dialog = make_dialog(channel, "ann", messages=10, state="open", agent=agent)
    latest = kim.look(f"dialogs/{dialog.pk}", limit=4)

    kim.do(f"dialogs/{dialog.pk}/messages", {"text": "new"})

    assert seen(kim.look(f"dialogs/{dialog.pk}", limit=4, before=latest["cursor"])) == ["message 2", "message 4"]


@pytest.mark.parametrize("limit", [1, 4, 100])
def test_agents_read_what_is_in_the_window_and_nothing_else(channel, agent, kim, limit):
    dialog = make_dialog(
        channel, "ann", messages=20, visible_after=4, visible_until=12, state="closed", agent=agent
    )

    body = kim.look(f"dialogs/{dialog.pk}", limit=limit)
    messages, pages = body["messages"], 1
    while body["hasMore"]:
        body = kim.look(f"dialogs/{dialog.pk}", limit=limit, before=body["cursor"])
        messages, pages = body["messages"] + messages, pages + 1

    assert [item["event"]["query"] for item in messages if item["type"] == "request"] == [
        f"message {number}" for number in (4, 6, 8, 10)
    ]
    assert len(messages) == 8
    assert pages == -(-8 // limit)
    # A cursor from elsewhere opens nothing.
    assert kim.look(f"dialogs/{dialog.pk}", before=make_cursor(4))["messages"] == []
    assert kim.look(f"dialogs/{dialog.pk}", before=make_cursor(10**17), limit=100)["messages"] == messages


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"before": "nonsense"}, "before"),
        ({"before": "\0"}, "before"),
        ({"before": ""}, "before"),
        ({"before": "ü"}, "before"),
        ({"before": make_place((START, 1))}, "before"),
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "all"}, "limit"),
    ],
)
def test_a_bad_place_in_a_transcript_is_refused_by_name(channel, kim, query, field):
    dialog = make_dialog(channel, "ann", messages=2)

    response = kim.get(f"dialogs/{dialog.pk}", **query)

    assert refused(response) == (400, "invalid_request")
    assert list(response.json()["args"]) == [field]


@pytest.mark.parametrize(
    ("saved", "value", "text"),
    [
        (b"null", None, "null"),
        (b" 5 ", 5, "5"),
        (b'"\\u00fc"', "ü", '"ü"'),
        (b"1" * 4000, int("1" * 4000), "1" * 4000),
        # What JSON allows and nobody could write anew is shown as it came.
        (b"1" * 5000, None, "1" * 5000),
        (b"[1e999]", None, "[1e999]"),
        (b'"\\ud800"', None, '"\\ud800"'),
        (b"[" * 101 + b"]" * 101, None, "[" * 101 + "]" * 101),
    ],
)
def test_whatever_state_a_client_saved_its_dialog_opens(channel, caller, kim, saved, value, text):
    dialog = make_dialog(channel, "test")
    assert caller.post("client", "test", "state", body=saved).status_code == 200

    body = kim.look(f"dialogs/{dialog.pk}")

    assert (body["clientState"], body["clientStateText"]) == (value, text)


def test_a_long_state_is_cut_for_reading(channel, caller, kim):
    dialog = make_dialog(channel, "test")
    saved = [[[["a"] * 100] * 10] * 10]
    caller.post("client", "test", "state", body=saved)

    body = kim.look(f"dialogs/{dialog.pk}")

    assert body["clientState"] == saved
    assert len(body["clientStateText"]) == 20_000
    assert json.dumps(saved, indent=2).startswith(body["clientStateText"])


def test_a_dialog_says_that_its_agent_is_gone(channel, agent, kim, lou):
    dialog = make_dialog(channel, "ann", state="open", agent=agent)
    assert not lou.look(f"dialogs/{dialog.pk}")["agentGone"]

    agent.chatapi_groups.clear()

    assert not kim.look(f"dialogs/{dialog.pk}")["agentGone"]  # who still has it
    assert lou.look(f"dialogs/{dialog.pk}")["agentGone"]
    lou.do(f"dialogs/{dialog.pk}/take")
    assert not lou.look(f"dialogs/{dialog.pk}")["agentGone"]


def test_long_data_of_a_request_are_cut_for_reading(channel, agent, caller, kim):
    dialog = make_dialog(channel, "test", state="open", agent=agent)
    whole, cut = {"a": "ü" * 19_992}, {"a": "ü" * 19_993}
    for data in (whole, cut, {"a": ["b"] * 200_000}, {"a": "\0\n"}):
        caller.send("hi", data=data)

    response = kim.get(f"dialogs/{dialog.pk}")

    events = [item["event"] for item in response.json()["messages"]]
    assert [event["data"] for event in events] == [whole, None, None, {"a": "\0\n"}]
    assert ["dataText" in event for event in events] == [False, True, True, False]
    assert events[1]["dataText"] == json.dumps(cut, ensure_ascii=False, separators=(",", ":"))[:20_000]
    assert events[2]["dataText"].startswith('{"a":["b","b",')
    assert len(response.content) < 150_000
    # Callers get their own as they sent it.
    assert caller.history()["messages"][1]["event"]["data"] == cut


def test_of_many_notes_and_changes_the_latest_are_shown(channel, agent, kim):
    dialog = make_dialog(channel, "ann")
    more = {"dialog": dialog, "agent_name": "kim", "created_at": START}
    DialogNote.objects.bulk_create(DialogNote(text=f"note {number}", **more) for number in range(205))
    change = {**more, "client": dialog.client, "sequence": 1, "kind": "handedOver"}
    DialogChange.objects.bulk_create(DialogChange(detail=str(number), **change) for number in range(205))

    body = kim.look(f"dialogs/{dialog.pk}")

    assert [note["text"] for note in body["notes"]] == [f"note {number}" for number in range(5, 205)]
    assert [change["detail"] for change in body["changes"]] == [str(number) for number in range(5, 205)]


def test_who_is_gone_is_called_by_what_was_written_down(channel, agent, lou):
    dialog = make_dialog(channel, "ann", state="open", agent=agent)
    Colleague(agent).do(f"dialogs/{dialog.pk}/notes", {"text": "Bye"})
    agent.delete()

    body = lou.look(f"dialogs/{dialog.pk}")

    assert (body["agent"], body["notes"][0]["agent"], body["notes"][0]["agentName"]) == (None, "kim", "kim")


# What an agent does


def test_take_answers_with_the_row_and_tells_others_who_has_it(channel, kim, lou):
    dialog = make_dialog(channel, "ann")

    row = kim.do(f"dialogs/{dialog.pk}/take")
    again = kim.do(f"dialogs/{dialog.pk}/take")
    late = lou.post(f"dialogs/{dialog.pk}/take")

    assert list(row) == ROW
    assert [row["state"], row["agent"], row["agentName"], row["waitingSince"]] == ["open", "kim", "Kim Lee", None]
    assert again == row
    assert refused(late) == (409, "already_taken")
    assert late.json()["args"] == {"agent": "kim", "agentName": "Kim Lee"}


def test_a_client_of_the_bots_can_be_taken_by_its_id(channel, caller, kim, lou):
    caller.send("hi", client_id="a/b ü%")

    row = kim.do("dialogs", {"channelId": channel.pk, "clientId": "a/b ü%"})
    late = lou.post("dialogs", {"channelId": channel.pk, "clientId": "a/b ü%"})

    assert list(row) == ROW
    assert [row["clientId"], row["state"], row["agent"], row["group"]] == ["a/b ü%", "open", "kim", None]
    assert refused(late) == (409, "already_taken")
    assert late.json()["args"] == {"agent": "kim", "agentName": "Kim Lee"}


def test_a_client_that_waits_can_be_taken_by_its_id_too(channel, kim):
    dialog = make_dialog(channel, "5")

    assert kim.do("dialogs", {"channelId": channel.pk, "clientId": 5})["id"] == dialog.pk


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({}, (400, "invalid_request")),
        ({"clientId": "ann"}, (400, "invalid_request")),
        ({"channelId": None, "clientId": "ann"}, (400, "invalid_request")),
        ({"channelId": "x", "clientId": "ann"}, (400, "invalid_request")),
        ({"channelId": 0, "clientId": "ann"}, (400, "invalid_request")),
        ({"channelId": 2**63, "clientId": "ann"}, (400, "invalid_request")),
        ({"channelId": 10**30, "clientId": "ann"}, (400, "invalid_request")),
        ({"channelId": 2**63 - 1, "clientId": "ann"}, (404, "client_not_found")),
        ({"channelId": "own", "clientId": "nobody"}, (404, "client_not_found")),
        ({"channelId": "own", "clientId": "ann\0"}, (400, "invalid_request")),
        ({"channelId": "own", "clientId": "x" * 256}, (400, "invalid_request")),
        ({"channelId": "own", "clientId": ["ann"]}, (400, "invalid_request")),
        ({"channelId": "own", "clientId": ""}, (400, "invalid_request")),
    ],
)
def test_taking_nobody_is_refused(channel, kim, body, answer):
    make_dialog(channel, "ann")
    named = {**body, "channelId": channel.pk} if body.get("channelId") == "own" else body

    assert refused(kim.post("dialogs", named)) == answer
    assert Dialog.objects.get().state == "waiting"


def test_transfer_to_a_colleague_and_to_a_group(channel, kim, lou):
    sales = AgentGroup.objects.create(channel=channel, name="Sales")
    dialog = make_dialog(channel, "ann")
    kim.do(f"dialogs/{dialog.pk}/take")

    to_lou = kim.do(f"dialogs/{dialog.pk}/transfer", {"agent": "lou", "group": None})
    no_more = kim.post(f"dialogs/{dialog.pk}/transfer", {"group": "Sales"})
    to_sales = lou.do(f"dialogs/{dialog.pk}/transfer", {"group": "Sales"})

    assert list(to_lou) == ROW
    assert [to_lou["state"], to_lou["agent"]] == ["open", "lou"]
    assert refused(no_more) == (409, "not_your_dialog")
    assert no_more.json()["args"] == {"agent": "lou", "agentName": "lou"}
    assert [to_sales["state"], to_sales["agent"], to_sales["group"]] == ["waiting", None, sales.name]
    assert is_time(to_sales["waitingSince"])


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"agent", "group"}),
        ({"agent": None, "group": None}, {"agent", "group"}),
        ({"agent": "lou", "group": "Support"}, {"agent", "group"}),
        ({"agent": "nobody"}, {"agent"}),
        ({"agent": "stranger"}, {"agent"}),
        ({"agent": "LOU"}, {"agent"}),
        ({"agent": 5}, {"agent"}),
        ({"agent": ""}, {"agent"}),
        ({"agent": "lou\0"}, {"agent"}),
        ({"agent": "x" * 256}, {"agent"}),
        ({"group": "Nobody"}, {"group"}),
        ({"group": "Elsewhere"}, {"group"}),
        ({"group": {"name": "Support"}}, {"group"}),
        ({"group": "Support\0"}, {"group"}),
    ],
)
def test_a_transfer_to_nobody_is_refused_by_name(
    channel, kim, lou, make_agent, make_channel, django_user_model, body, fields
):
    django_user_model.objects.create_user("stranger")
    make_agent(make_channel(name="Elsewhere"), group="Elsewhere")
    dialog = make_dialog(channel, "ann")
    kim.do(f"dialogs/{dialog.pk}/take")

    response = kim.post(f"dialogs/{dialog.pk}/transfer", body)

    assert refused(response) == (400, "invalid_request")
    assert set(response.json()["args"]) == fields
    assert dialog_of("ann").agent.get_username() == "kim"


def test_targets_are_the_channels_agents_who_is_there_first(channel, make_agent, make_channel, kim, superuser):
    AgentGroup.objects.create(channel=channel, name="Empty")
    presences.set_presence(agent=make_agent(channel, username="away"), state=PresenceState.AWAY)
    make_agent(channel, username="zoe", group="Sales", first_name="Zoe", last_name="Abt")
    make_agent(channel, username="gone", online=False)
    make_agent(channel, username="fired").user_permissions.clear()
    make_agent(channel, username="asleep", is_active=False)
    make_agent(make_channel(), username="elsewhere")
    dialog = make_dialog(channel, "ann")

    body = kim.look(f"dialogs/{dialog.pk}/targets")

    assert [(agent["username"], agent["state"]) for agent in body["agents"]] == [
        ("kim", "online"),
        ("zoe", "online"),
        ("away", "away"),
        ("gone", "offline"),
    ]
    assert body["agents"][1] == {"username": "zoe", "name": "Zoe Abt", "state": "online"}
    assert body["groups"] == ["Empty", "Sales", "Support"]
    assert set(body) == {"agents", "groups"}


def test_a_reply_answers_with_the_envelope(channel, agent, kim):
    dialog = make_dialog(channel, "ann", state="open", agent=agent, unread=3)

    body = kim.do(f"dialogs/{dialog.pk}/messages", {"text": "Hello\nthere"})

    assert body == {
        "token": mask(channel.token),
        "clientId": "ann",
        "questionId": str(Message.objects.get().question_id),
        "query": None,
        "event": None,
        "cid": None,
        "data": {
            "nlpClass": None,
            "confidence": None,
            "replies": [{"type": "text", "text": "Hello\nthere"}],
            "answer": "Hello\nthere",
            "newSessionStarted": False,
            "debugData": [],
            "endSession": False,
        },
        "timestamp": body["timestamp"],
        "blockForm": False,
    }
    assert is_time(body["timestamp"])
    (row,) = kim.look("dialogs", state="mine")["dialogs"]
    assert [row["lastMessage"], row["unread"], row["lastMessageAt"]] == ["Hello there", 0, body["timestamp"]]


def test_replies_pass_through_as_they_are(channel, agent, kim):
    dialog = make_dialog(channel, "ann", state="open", agent=agent)
    replies = [
        {"type": "image", "imageUrl": "https://www.example.com/map.png", "own": {"a": [1, 2.5, None]}},
        {"type": "text", "text": "Here", "markup": "markdown"},
        {"type": "unheard-of"},
    ]

    body = kim.do(f"dialogs/{dialog.pk}/messages", {"text": None, "replies": replies})

    assert (body["data"]["replies"], body["data"]["answer"]) == (replies, "Here")
    assert kim.look("dialogs", state="mine")["dialogs"][0]["lastMessage"] == "Here"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"text", "replies"}),
        ({"text": "a", "replies": [{"type": "text", "text": "b"}]}, {"text", "replies"}),
        ({"text": ""}, {"text"}),
        ({"text": " \n"}, {"text"}),
        ({"text": 5}, {"text"}),
        ({"text": "a\0b"}, {"text"}),
        ({"text": "x" * 10_001}, {"text"}),
        ({"replies": []}, {"replies"}),
        ({"replies": {"type": "text"}}, {"replies"}),
        ({"replies": ["text"]}, {"replies"}),
        ({"replies": [{}]}, {"replies"}),
        ({"replies": [{"type": ""}]}, {"replies"}),
        ({"replies": [{"type": 5}]}, {"replies"}),
        ({"replies": [{"type": "text"}] * 101}, {"replies"}),
    ],
)
def test_a_bad_reply_is_refused_by_name_and_nothing_is_said(channel, agent, kim, body, fields):
    dialog = make_dialog(channel, "ann", state="open", agent=agent)

    response = kim.post(f"dialogs/{dialog.pk}/messages", body)

    assert refused(response) == (400, "invalid_request")
    assert set(response.json()["args"]) == fields
    assert Message.objects.count() == 0


def test_a_repeated_reply_is_said_once(channel, agent, kim):
    dialog = make_dialog(channel, "ann", state="open", agent=agent)
    path, key = f"dialogs/{dialog.pk}/messages", {"Idempotency-Key": "a 1"}

    first = kim.do(path, {"text": "Hello"}, key)
    again = kim.do(path, {"text": "Hello"}, key)
    kim.do(f"dialogs/{dialog.pk}/close")
    late = kim.do(path, {"text": "Hello"}, key)
    other = kim.post(path, {"text": "Hello"}, {"Idempotency-Key": "a 2"})

    assert again == late == first
    assert refused(other) == (409, "dialog_closed")
    assert Message.objects.filter(type="humanResponse").count() == 1


@pytest.mark.parametrize("where", ["messages", "notes"])
@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there", "\x7f"])
def test_a_bad_idempotency_key_is_refused(channel, agent, kim, key, where):
    dialog = make_dialog(channel, "ann", state="open", agent=agent)

    response = kim.post(f"dialogs/{dialog.pk}/{where}", {"text": "Hello"}, {"Idempotency-Key": key})

    assert refused(response) == (400, "invalid_request")
    assert list(response.json()["args"]) == ["Idempotency-Key"]
    assert Message.objects.count() == DialogNote.objects.count() == 0


def test_a_note_is_kept_with_its_author(channel, kim, lou):
    dialog = make_dialog(channel, "ann")

    note = kim.do(f"dialogs/{dialog.pk}/notes", {"text": " Careful,\nhe bites "})

    assert note == {
        "id": DialogNote.objects.get().pk,
        "agent": "kim",
        "agentName": "Kim Lee",
        "text": " Careful,\nhe bites ",
        "timestamp": note["timestamp"],
    }
    assert is_time(note["timestamp"])
    assert lou.look(f"dialogs/{dialog.pk}")["notes"] == [note]
    assert Message.objects.count() == 0


def test_a_repeated_note_is_kept_once(channel, kim):
    dialog, other = make_dialog(channel, "ann"), make_dialog(channel, "bob")
    path, key = f"dialogs/{dialog.pk}/notes", {"Idempotency-Key": "k" * 255}

    first = kim.do(path, {"text": "Careful"}, key)
    again = kim.do(path, {"text": "Careful"}, key)

    assert again == first
    assert kim.look(f"dialogs/{dialog.pk}")["notes"] == [first]
    # Another dialog's keys are others, and without a key each is a note of its own.
    kim.do(f"dialogs/{other.pk}/notes", {"text": "Careful"}, key)
    kim.do(path, {"text": "Careful"})
    kim.do(path, {"text": "Careful"})
    assert DialogNote.objects.count() == 4


def test_another_note_with_a_used_key_is_refused_and_not_taken_for_written(channel, kim, lou):
    dialog = make_dialog(channel, "ann")
    path, key = f"dialogs/{dialog.pk}/notes", {"Idempotency-Key": "1"}
    kim.do(path, {"text": "Careful"}, key)
    dialog.refresh_from_db()

    assert refused(kim.post(path, {"text": "He bites"}, key)) == (409, "idempotency_conflict")
    assert refused(lou.post(path, {"text": "Careful"}, key)) == (409, "idempotency_conflict")

    assert [note.text for note in DialogNote.objects.all()] == ["Careful"]
    assert Dialog.objects.get(pk=dialog.pk).changed_at == dialog.changed_at


@pytest.mark.parametrize("text", [None, "", " ", 5, ["a"], "a\0", "x" * 10_001])
def test_a_bad_note_is_refused(channel, kim, text):
    dialog = make_dialog(channel, "ann")

    response = kim.post(f"dialogs/{dialog.pk}/notes", {"text": text})

    assert refused(response) == (400, "invalid_request")
    assert list(response.json()["args"]) == ["text"]


def test_typing_answers_with_nothing(channel, agent, kim, lou):
    dialog = make_dialog(channel, "ann", state="open", agent=agent)

    answer = kim.post(f"dialogs/{dialog.pk}/typing")

    assert (answer.status_code, answer.content) == (204, b"")
    dialog.refresh_from_db()
    assert dialog.typing_at is not None
    assert refused(lou.post(f"dialogs/{dialog.pk}/typing")) == (409, "not_your_dialog")


def test_read_answers_with_the_row(channel, agent, kim):
    dialog = make_dialog(channel, "ann", state="open", agent=agent, unread=3)

    row = kim.do(f"dialogs/{dialog.pk}/read")

    assert list(row) == ROW
    assert row["unread"] == 0


def test_what_was_not_seen_yet_stays_unread(channel, agent, kim, caller):
    dialog = make_dialog(channel, "ann", state="open", agent=agent)
    first, second, third = (caller.send(text, client_id="ann")["questionId"] for text in ("one", "two", "three"))

    assert kim.do(f"dialogs/{dialog.pk}/read", {"upTo": first})["unread"] == 2
    assert kim.do(f"dialogs/{dialog.pk}/read", {"upTo": second})["unread"] == 1
    assert kim.do(f"dialogs/{dialog.pk}/read", {"upTo": first})["unread"] == 1  # a call that was overtaken
    assert kim.do(f"dialogs/{dialog.pk}/read", {"upTo": third})["unread"] == 0


def test_read_up_to_a_message_of_another_client_is_refused(channel, agent, kim, caller):
    dialog = make_dialog(channel, "ann", state="open", agent=agent, unread=3)
    foreign = caller.send("hi", client_id="bob")["questionId"]

    assert refused(kim.post(f"dialogs/{dialog.pk}/read", {"upTo": foreign})) == (404, "message_not_found")
    assert refused(kim.post(f"dialogs/{dialog.pk}/read", {"upTo": "first"})) == (400, "invalid_request")
    assert kim.look(f"dialogs/{dialog.pk}")["unread"] == 3


def test_what_a_colleague_reads_stays_unread(channel, agent, lou):
    dialog = make_dialog(channel, "ann", state="open", agent=agent, unread=3)

    assert lou.do(f"dialogs/{dialog.pk}/read")["unread"] == 3


def test_close_answers_with_the_row_and_nothing_more_can_be_done(channel, kim):
    dialog = make_dialog(channel, "ann")
    kim.do(f"dialogs/{dialog.pk}/take")

    row = kim.do(f"dialogs/{dialog.pk}/close")

    assert list(row) == ROW
    assert [row["state"], row["agent"], row["unread"]] == ["closed", "kim", 0]
    assert is_time(row["closedAt"])
    bodies = {"transfer": {"group": "Support"}, "messages": {"text": "Hello"}}
    for what in ("take", "transfer", "messages", "typing", "close"):
        response = kim.post(f"dialogs/{dialog.pk}/{what}", bodies.get(what))
        assert refused(response) == (409, "dialog_closed"), what
    assert kim.do(f"dialogs/{dialog.pk}/notes", {"text": "afterwards"})
    assert kim.listed("closed") == ["ann"]


def test_a_colleague_cannot_act_for_the_agent(channel, agent, lou):
    dialog = make_dialog(channel, "ann", state="open", agent=agent)

    bodies = {"transfer": {"agent": "lou"}, "messages": {"text": "Hello"}}
    for what in ("transfer", "messages", "typing", "close"):
        response = lou.post(f"dialogs/{dialog.pk}/{what}", bodies.get(what))
        assert refused(response) == (409, "not_your_dialog"), what
        assert response.json()["args"] == {"agent": "kim", "agentName": "Kim Lee"}


# The desk


def test_presence(agent, kim):
    AgentPresence.objects.all().delete()
    who = {"agent": "kim", "agentName": "Kim Lee"}

    assert kim.look("presence") == {"state": "offline", **who}
    assert kim.do("presence", {"state": "online"}) == {"state": "online", **who}
    assert kim.look("presence") == {"state": "online", **who}
    assert kim.do("presence", {"state": "away"}) == {"state": "away", **who}
    assert kim.look("presence") == {"state": "away", **who}


def test_presence_lasts_as_long_as_the_agent_calls(agent, kim, lou, channel):
    dialog = make_dialog(channel, "ann")

    def state_of_kim():
        agents = lou.look(f"dialogs/{dialog.pk}/targets")["agents"]
        return next(one["state"] for one in agents if one["username"] == "kim")

    AgentPresence.objects.filter(agent=agent).update(seen_at=timezone.now() - dt.timedelta(seconds=85))
    assert state_of_kim() == "online"
    kim.look("dialogs")
    assert AgentPresence.objects.get(agent=agent).seen_at > timezone.now() - dt.timedelta(seconds=30)
    AgentPresence.objects.filter(agent=agent).update(seen_at=timezone.now() - dt.timedelta(seconds=95))
    assert state_of_kim() == "offline"
    kim.look("dialogs")
    assert state_of_kim() == "offline"
    kim.do("presence", {"state": "online"})
    assert state_of_kim() == "online"


@pytest.mark.parametrize("state", [None, "", "offline", "ONLINE", 1, ["online"], {"a": 1}, "\0"])
def test_a_bad_presence_is_refused(kim, state):
    response = kim.post("presence", {"state": state})

    assert refused(response) == (400, "invalid_request")
    assert list(response.json()["args"]) == ["state"]


def test_clients_are_found_by_the_beginning_of_their_id(channel, caller, agent, kim):
    caller.send("hi", client_id="ann")
    make_dialog(channel, "anna", state="open", agent=agent)
    make_dialog(channel, "anne")
    make_dialog(channel, "bob")
    waiting = dialog_of("anne")

    found = kim.look("clients", search="ann")["clients"]

    assert found[0] == {
        "clientId": "ann",
        "channel": "Test",
        "channelId": channel.pk,
        "dialogId": None,
        "state": "bot",
        "lastActivityAt": found[0]["lastActivityAt"],
    }
    assert is_time(found[0]["lastActivityAt"])
    assert [(one["clientId"], one["dialogId"], one["state"]) for one in found[1:]] == [
        ("anne", waiting.pk, "waiting"),
        ("anna", dialog_of("anna").pk, "open"),
    ]
    assert found[1]["lastActivityAt"] is None


def test_the_whole_id_comes_first_and_at_most_twenty_are_found(channel, kim):
    for number in range(30):
        make_dialog(channel, f"ann{number}")

    found = [client["clientId"] for client in kim.look("clients", search="ann2")["clients"]]
    many = kim.look("clients", search="ann")["clients"]

    assert found[0] == "ann2"
    assert sorted(found) == sorted(["ann2", *(f"ann2{number}" for number in range(10))])
    assert len(many) == 20


@pytest.mark.parametrize(
    ("search", "found"),
    [("%", ["%off"]), ("_", ["_under"]), ("\\", ["\\back"]), ("é", ["école"]), ("😀", ["😀"]), ("nn", [])],
)
def test_a_client_is_searched_for_literally(channel, kim, search, found):
    for name in ("ann", "%off", "_under", "\\back", "école", "😀"):
        make_dialog(channel, name)

    assert [client["clientId"] for client in kim.look("clients", search=search)["clients"]] == found


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "search"),
        ({"search": ""}, "search"),
        ({"search": "\0"}, "search"),
        ({"search": "x" * 256}, "search"),
        ({"search": "a", "channelId": "x"}, "channelId"),
        ({"search": "a", "channelId": "0"}, "channelId"),
        ({"search": "a", "channelId": str(2**63)}, "channelId"),
        ({"search": "a", "channelId": "9" * 5000}, "channelId"),
    ],
)
def test_a_bad_search_for_clients_is_refused_by_name(kim, query, field):
    response = kim.get("clients", **query)

    assert refused(response) == (400, "invalid_request")
    assert list(response.json()["args"]) == [field]


def test_canned_answers(channel, make_channel, make_agent, agent, kim):
    second, foreign = make_channel(name="Second"), make_channel(name="Foreign")
    AgentGroup.objects.create(channel=second, name="All").members.add(agent)
    hello = CannedAnswer.objects.create(shortcut="hi", text="Hello,\nhow can I help?")
    CannedAnswer.objects.create(shortcut="bye", text="Bye", channel=channel)
    CannedAnswer.objects.create(shortcut="price", text="5 €", channel=second)
    CannedAnswer.objects.create(shortcut="secret", text="No", channel=foreign)

    body = kim.look("canned-answers")

    assert set(body) == {"cannedAnswers"}
    assert [(one["shortcut"], one["channel"]) for one in body["cannedAnswers"]] == [
        ("bye", "Test"),
        ("hi", None),
        ("price", "Second"),
    ]
    assert body["cannedAnswers"][1] == {
        "id": hello.pk,
        "shortcut": "hi",
        "text": "Hello,\nhow can I help?",
        "channel": None,
    }
    for pk, found in ((channel.pk, ["bye", "hi"]), (second.pk, ["hi", "price"]), (foreign.pk, ["hi"])):
        answers = kim.look("canned-answers", channelId=pk)["cannedAnswers"]
        assert [one["shortcut"] for one in answers] == found
    assert refused(kim.get("canned-answers", channelId="x")) == (400, "invalid_request")


# What is true of every call

#: Every call on a dialog, with a body that is valid.
CALLS = [
    ("get", "", None),
    ("get", "/targets", None),
    ("post", "/take", {}),
    ("post", "/transfer", {"group": "Support"}),
    ("post", "/messages", {"text": "Hello"}),
    ("post", "/notes", {"text": "Careful"}),
    ("post", "/typing", {}),
    ("post", "/read", {}),
    ("post", "/close", {}),
]


@pytest.mark.parametrize(("method", "tail", "body"), CALLS)
@pytest.mark.parametrize("pk", ["0", "5", str(2**63 - 1), str(2**63), "9" * 30])
def test_a_dialog_that_there_is_not(kim, method, tail, body, pk):
    response = kim.get(f"dialogs/{pk}{tail}") if method == "get" else kim.post(f"dialogs/{pk}{tail}", body)

    assert refused(response) == (404, "dialog_not_found")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "dialogs/",
        "dialogs/x",
        "dialogs/-1",
        "dialogs/1.0",
        "dialogs/" + "9" * 5000,
        "dialogs/1/",
        "dialogs/1/eat",
        "dialogs//take",
        "live",
        "nothing",
        "%00",
        "dialogs/%D9%A1",
        "dialogs/1%0A",
    ],
)
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options", "head"])
def test_an_unknown_path_is_an_error_of_the_api(kim, path, method):
    response = getattr(kim.http, method)(f"/chatapi-agents/{path}")

    assert response.status_code == 404
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "private, no-store"
    if method != "head":
        assert refused(response) == (404, "not_found")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("dialogs", "GET, POST"), ("dialogs/1", "GET"), ("dialogs/1/take", "POST"), ("presence", "GET, POST")],
)
@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_a_method_that_a_path_does_not_take(kim, path, allowed, method):
    response = getattr(kim.http, method)(f"/chatapi-agents/{path}")

    assert refused(response) == (405, "method_not_allowed")
    assert set(allowed.split(", ")) <= set(response["Allow"].split(", "))


def test_nothing_is_kept_by_caches_and_other_formats_are_refused(channel, kim):
    make_dialog(channel, "ann")

    for response in (kim.get("dialogs"), kim.get("dialogs", limit="x"), Colleague().get("dialogs")):
        assert response["Cache-Control"] == "private, no-store"
    html = kim.http.get("/chatapi-agents/dialogs", headers={"Accept": "text/html"})
    form = kim.http.post("/chatapi-agents/presence", {"state": "online"})
    large = kim.post("presence", json.dumps({"state": "online", "more": "x" * 1024 * 1024}))
    assert refused(html) == (406, "not_acceptable")
    assert refused(form) == (415, "unsupported_media_type")
    assert refused(large) == (413, "payload_too_large")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "null",
        '"a"',
        "5",
        b"\xff",
        '{"state": "\\ud800"}',
        '{"state": NaN}',
        "[" * 100_000,
        "9" * 5000,
    ],
)
def test_a_body_that_is_no_json_object_is_refused(channel, agent, kim, body):
    dialog = make_dialog(channel, "ann", state="open", agent=agent)

    for path in (
        "dialogs",
        "presence",
        *(f"dialogs/{dialog.pk}/{what}" for what in ("messages", "notes", "transfer")),
    ):
        assert refused(kim.post(path, body)) == (400, "invalid_request"), path


def test_the_token_is_in_no_answer(say_switch, make_agent, django_user_model):
    channel = say_switch(sendMessagesToOperator=True)
    make_agent(channel, username="lou")
    kim = Colleague(make_agent(channel, username="kim"))
    caller = Caller(channel)
    caller.send("hi")
    caller.send("human")
    caller.send("there?")
    CannedAnswer.objects.create(channel=channel, shortcut="hi", text="Hi")
    pk = dialog_of().pk
    responses = [
        kim.get("dialogs"),
        kim.get("clients", search="t"),
        kim.get("presence"),
        kim.get("canned-answers"),
        kim.post(f"dialogs/{pk}/take"),
        kim.post(f"dialogs/{pk}/take"),
        kim.post(f"dialogs/{pk}/messages", {"text": "Hello"}),
        kim.post(f"dialogs/{pk}/messages", {"replies": [{"type": "image"}]}),
        kim.post(f"dialogs/{pk}/messages", {"nothing": 1}),
        kim.post(f"dialogs/{pk}/notes", {"text": "Careful"}),
        kim.get(f"dialogs/{pk}"),
        kim.get(f"dialogs/{pk}", limit=1),
        kim.get(f"dialogs/{pk}/targets"),
        kim.post(f"dialogs/{pk}/typing"),
        kim.post(f"dialogs/{pk}/read"),
        kim.post(f"dialogs/{pk}/transfer", {"agent": "lou"}),
        kim.post(f"dialogs/{pk}/close"),
        kim.post("dialogs", {"channelId": channel.pk, "clientId": "test"}),
        kim.get(f"dialogs/{pk}/nothing"),
    ]

    assert {response.status_code for response in responses} == {200, 204, 400, 404, 409}
    for response in responses:
        everything = response.content.decode() + str(response.headers)
        assert channel.token not in everything
        assert channel.token.partition(":")[2] not in everything
        assert channel.identity_secret not in everything
    assert mask(channel.token) in kim.get(f"dialogs/{pk}").content.decode()


# Hostile input, made by a machine

# The fixtures serve all examples of a test: each example makes do with whatever the earlier ones left.
many = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FIELDS = st.sampled_from(
    ["text", "replies", "agent", "group", "state", "channelId", "clientId", "search", "limit", "cursor", "before"]
)
LIKELY = st.sampled_from(["kim", "lou", "ann", "Support", "online", "1", 1, "mine", "closed", [{"type": "text"}]])
BODIES = st.dictionaries(FIELDS | ANY_TEXT, LIKELY | EDGES | ANY_JSON, max_size=4)
POSTS = ["dialogs", "presence", *(f"dialogs/{{pk}}{tail}" for method, tail, _body in CALLS if method == "post")]
GETS = ["dialogs", "clients", "canned-answers", "dialogs/{pk}", "dialogs/{pk}/targets"]
EXPECTED = (200, 204, 400, 404, 409, 413)


def check_answer(response, call):
    assert response.status_code in EXPECTED, (call, response.content)
    if response.status_code >= 400:
        refused(response)
    elif response.content:
        response.json()


@pytest.fixture
def ann(channel, agent):
    return make_dialog(channel, "ann", state="open", agent=agent)


@many
@given(path=st.sampled_from(POSTS), body=BODIES | ANY_JSON)
@example(path="dialogs/{pk}/messages", body={"replies": [{"type": "text", "text": {"a": "\0"}}]})
@example(path="dialogs/{pk}/messages", body={"replies": [{"type": "\0", "\0": 1e308}]})
@example(path="dialogs/{pk}/messages", body={"replies": [{"type": "buttons", "buttons": [[]]}]})
@example(path="dialogs/{pk}/messages", body={"replies": [{"type": "buttons", "buttons": 5}]})
@example(path="dialogs/{pk}/messages", body={"replies": [{"type": "text", "text": "x" * 500_000}]})
@example(path="dialogs/{pk}/notes", body={"text": "\x01\x7f\u2028\ufeff"})
def test_any_body(ann, lou, kim, path, body):
    Dialog.objects.filter(pk=ann.pk).update(state="open", agent=ann.agent, closed_at=None, waiting_since=None)
    check_answer(kim.post(path.format(pk=ann.pk), json.dumps(body)), (path, body))
    # Whatever was said, the dialog can still be looked at.
    assert kim.get(f"dialogs/{ann.pk}").status_code == 200
    assert all(kim.get("dialogs", state=state).status_code == 200 for state in ("waiting", "mine", "closed"))


@many
@given(
    path=st.sampled_from(POSTS),
    body=st.binary() | st.text(alphabet='{}[]",:\\\\u0dD8 \n1e-textreplis').map(str.encode),
)
def test_any_bytes(ann, kim, path, body):
    check_answer(kim.post(path.format(pk=ann.pk), body), (path, body))


@many
@given(
    path=st.sampled_from(GETS),
    query=st.dictionaries(FIELDS | ANY_TEXT.filter(bool), LIKELY.map(str) | EDGES | ANY_TEXT, max_size=4),
)
@example(path="dialogs", query={"search": "Σ" * 255})
@example(path="clients", query={"search": "\\" * 255})
def test_any_query(ann, kim, path, query):
    check_answer(kim.get(path.format(pk=ann.pk), **query), (path, query))


@many
@given(path=st.sampled_from(GETS), query=st.binary(max_size=40))
@example(path="dialogs", query=b"search=%ED%A0%80&cursor=%FF")
@example(path="dialogs/{pk}", query=b"before=%ED%A0%80")
def test_any_query_string(ann, kim, path, query):
    string = query.decode("latin-1")
    response = kim.http.get(f"/chatapi-agents/{path.format(pk=ann.pk)}", QUERY_STRING=string)
    check_answer(response, (path, query))


@many
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_any_client_id_can_be_searched_for_and_taken(channel, caller, kim, text):
    if "\0" in text:
        return
    if not Client.objects.filter(client_id=text).exists():
        caller.send("hi", client_id=text)
    row = kim.do("dialogs", {"channelId": channel.pk, "clientId": text})
    assert (row["clientId"], row["state"]) == (text, "open")
    if text.strip():
        assert text in kim.listed("mine", search=text, limit=100)
        assert text in [one["clientId"] for one in kim.look("clients", search=text)["clients"]]


# The whole way


@pytest.mark.django_db(transaction=True)
def test_the_story_of_a_client_who_asks_for_a_person(make_channel, make_agent):
    channel = make_channel(bot="demo", name="Shop")
    kim = Colleague(make_agent(channel, username="kim", first_name="Kim", last_name="Lee", online=False))
    kim.do("presence", {"state": "online"})
    ann = Caller(channel)

    ann.send("hi", client_id="ann")
    handed_over = ann.send("/agent", client_id="ann")
    assert handed_over["data"]["replies"][-1]["type"] == "switch"
    unanswered = ann.send("My parcel is lost", client_id="ann")
    assert (unanswered["data"]["replies"], unanswered["data"]["handedOver"]) == ([], True)

    (waiting,) = kim.look("dialogs", state="waiting", search="An")["dialogs"]
    assert [waiting["channel"], waiting["unread"], waiting["lastMessage"]] == ["Shop", 2, "My parcel is lost"]
    pk = waiting["id"]
    kim.do(f"dialogs/{pk}/take")
    assert kim.listed("waiting") == []
    assert kim.listed("mine") == ["ann"]
    kim.do(f"dialogs/{pk}/read")
    kim.do(f"dialogs/{pk}/typing")
    kim.do(f"dialogs/{pk}/messages", {"text": "I look for it."})

    def poll(**query):
        response = ann.get("events", clientId="ann", timeout=0, **query)
        assert response.status_code == 200
        return json.loads(response.content)

    (told,) = poll()["events"]
    assert told["type"] == "humanResponse"
    assert told["event"]["data"]["answer"] == "I look for it."
    assert told["event"]["token"] == channel.token
    types = "agentJoined,humanResponse,agentLeft"
    assert [event["type"] for event in poll(types=types, ts="0")["events"]] == ["agentJoined", "humanResponse"]

    ann.send("Thank you", client_id="ann")
    assert kim.look("dialogs", state="mine")["dialogs"][0]["unread"] == 1
    closed = kim.do(f"dialogs/{pk}/close")
    assert closed["state"] == "closed"
    work("ann")

    events = poll(types="agentLeft,botResponse")["events"]
    last = Message.objects.filter(type="request").latest("sequence")
    assert (last.event_name, last.data) == ("livechatFinished", {"closedBy": "agent", "agentJoined": True})
    assert "agentLeft" in [event["type"] for event in events]
    assert "livechatFinished" in [event["event"].get("event") for event in events]
    assert ann.send("hi", client_id="ann")["data"]["answer"] == "hi"
    said = [
        item["event"]["query"] or item["event"]["data"]["answer"] for item in kim.look(f"dialogs/{pk}")["messages"]
    ]
    assert said[-3:] == ["My parcel is lost", "I look for it.", "Thank you"]
    assert kim.listed("closed") == ["ann"]


def test_database_trouble_is_told_as_such(channel, kim, monkeypatch):
    def fail(*args, **kwargs):
        raise OperationalError("gone")

    monkeypatch.setattr("django_chatapi.dialog_selectors.list_dialogs", fail)
    response = kim.get("dialogs")

    assert refused(response) == (503, "service_unavailable")
    assert int(response["Retry-After"]) > 0
