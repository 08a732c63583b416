"""Message statuses (contract, section 9)."""

import datetime as dt

import pytest
from django.utils import timezone

from django_chatapi.constants import Status
from django_chatapi.models import Message, MessageStatus
from django_chatapi.wire.times import format_time
from tests.conftest import Caller

from .histories import make_history

NOBODYS = "01939f6e-8b0a-7cc1-a6a2-3f4f7b1a2c3d"


@pytest.fixture
def question_id(caller) -> str:
    return caller.send("hi", client_id="ann")["questionId"]


def get(caller: Caller, question_id: str, client_id: str = "ann"):
    return caller.get("client", client_id, "message", question_id, "status")


def put(caller: Caller, question_id: str, client_id: str = "ann", **body):
    return caller.post("client", client_id, "message", question_id, "status", body=body)


def put_many(caller: Caller, client_id: str = "ann", **body):
    return caller.post("client", client_id, "message-statuses", body=body)


def unread(caller: Caller, client_id: str = "ann") -> int:
    response = caller.get("client", client_id, "message-not-read-count")
    assert response.status_code == 200
    assert set(response.json()) == {"count"}
    return response.json()["count"]


def changes() -> list[str]:
    return list(MessageStatus.objects.order_by("pk").values_list("status", flat=True))


def minutes(number: float) -> str:
    """A time that many minutes from now, as on the wire."""
    return format_time(timezone.now() + dt.timedelta(minutes=number))


# --- one message


def test_a_synchronous_answer_is_sent(caller, question_id):
    assert get(caller, question_id).json() == {"questionId": question_id, "status": "SENT"}


def test_a_status_that_there_is_not_is_answered_with_those_that_there_are(caller, question_id):
    for response in (
        put(caller, question_id, status="SEEN"),
        put_many(caller, upTo=question_id, status="SEEN"),
    ):
        assert response.status_code == 400
        assert response.json()["args"]["status"] == ["“SEEN” is not one of: NOT_SENT, SENT, DELIVERED, READ."]


@pytest.mark.parametrize("status", Status.values)
def test_a_status_is_set_and_read_back(caller, question_id, status):
    response = put(caller, question_id, status=status)

    assert response.status_code == 200
    assert response.json() == {"questionId": question_id, "status": status}
    assert get(caller, question_id).json() == {"questionId": question_id, "status": status}
    assert caller.history("ann")["messages"][1]["event"]["status"] == status


def test_the_last_update_wins_and_every_change_is_kept(caller, question_id):
    order = ["READ", "DELIVERED", "NOT_SENT", "SENT", "READ"]
    before = timezone.now()

    for status in order:
        assert put(caller, question_id, status=status).json()["status"] == status

    assert changes() == order
    for change in MessageStatus.objects.all():
        assert before <= change.changed_at <= timezone.now()
        assert before <= change.recorded_at <= timezone.now()
        assert change.message.type == "botResponse"


def test_a_status_that_stays_is_no_change(caller, question_id):
    for _ in range(3):
        assert put(caller, question_id, status="READ").json()["status"] == "READ"

    assert changes() == ["READ"]


def test_an_older_receipt_is_ignored(caller, question_id):
    Message.objects.update(status_changed_at=timezone.now() - dt.timedelta(hours=1))
    assert put(caller, question_id, status="READ", timestamp=minutes(-10)).json()["status"] == "READ"

    late = put(caller, question_id, status="DELIVERED", timestamp=minutes(-11))

    assert late.status_code == 200
    assert late.json() == {"questionId": question_id, "status": "READ"}
    assert changes() == ["READ"]
    assert put(caller, question_id, status="SENT", timestamp=minutes(-9)).json()["status"] == "SENT"
    assert put(caller, question_id, status="NOT_SENT").json()["status"] == "NOT_SENT"


@pytest.mark.parametrize("kind", ["wire", "zone", "milliseconds", "integer"])
def test_a_receipts_time_is_kept(caller, question_id, kind):
    Message.objects.update(status_changed_at=timezone.now() - dt.timedelta(hours=1))
    moment = (timezone.now() - dt.timedelta(minutes=10)).replace(microsecond=262_000)
    milliseconds = round(moment.timestamp() * 1000)
    notation = {
        "wire": format_time(moment),
        "zone": moment.astimezone(dt.timezone(dt.timedelta(hours=-3))).isoformat(),
        "milliseconds": str(milliseconds),
        "integer": milliseconds,
    }[kind]

    assert put(caller, question_id, status="READ", timestamp=notation).status_code == 200

    change = MessageStatus.objects.get()
    assert change.changed_at == moment
    assert change.recorded_at > moment


def test_a_clock_that_is_ahead_does_not_shut_out_what_follows(caller, question_id):
    assert put(caller, question_id, status="DELIVERED", timestamp=minutes(600)).json()["status"] == "DELIVERED"
    assert MessageStatus.objects.get().changed_at <= timezone.now()

    assert put(caller, question_id, status="SENT", timestamp=minutes(1)).json()["status"] == "SENT"
    assert put(caller, question_id, status="READ").json()["status"] == "READ"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "status"),
        ({"status": None}, "status"),
        ({"status": ""}, "status"),
        ({"status": "read"}, "status"),
        ({"status": "SEEN"}, "status"),
        ({"status": 1}, "status"),
        ({"status": ["READ"]}, "status"),
        ({"status": {"READ": 1}}, "status"),
        ({"status": True}, "status"),
        ({"status": "READ", "timestamp": "now"}, "timestamp"),
        ({"status": "READ", "timestamp": ""}, "timestamp"),
        ({"status": "READ", "timestamp": 1.5}, "timestamp"),
        ({"status": "READ", "timestamp": True}, "timestamp"),
        ({"status": "READ", "timestamp": 10**20}, "timestamp"),
        ({"status": "READ", "timestamp": []}, "timestamp"),
    ],
)
def test_a_malformed_update_is_refused(caller, question_id, body, field):
    response = put(caller, question_id, **body)

    assert response.status_code == 400
    assert set(response.json()["args"]) == {field}
    assert get(caller, question_id).json()["status"] == "SENT"
    assert changes() == []


def test_a_null_timestamp_is_none(caller, question_id):
    assert put(caller, question_id, status="READ", timestamp=None, more="unknown").json()["status"] == "READ"


@pytest.mark.parametrize(
    "name", [NOBODYS, "1", "x", "-", " ", "\0", "\n", "😀", "x" * 1000, "00000000-0000-0000-0000-00000000000g"]
)
def test_an_unknown_message_is_not_found(caller, question_id, name):
    for response in (get(caller, name), put(caller, name, status="READ")):
        assert response.status_code == 404
        assert response.json()["error"] == "message_not_found"
    assert changes() == []


def test_a_message_is_found_by_its_own_client_and_channel_only(caller, make_channel, question_id):
    caller.send("hi", client_id="bob")
    other = Caller(make_channel())
    other.send("hi", client_id="ann")

    for stranger, client_id in ((caller, "bob"), (caller, "nobody"), (other, "ann")):
        assert get(stranger, question_id, client_id).json()["error"] == "message_not_found"
        assert put(stranger, question_id, client_id, status="READ").json()["error"] == "message_not_found"
    assert changes() == []


def test_a_request_that_was_not_answered_has_no_status(make_channel):
    caller = Caller(make_channel(bot="recorded", bot_options={"script": []}))
    question_id = caller.post(body={"clientId": "ann", "query": "hi"}).json()["args"]["questionId"]

    assert get(caller, question_id).status_code == 404
    assert put(caller, question_id, status="READ").status_code == 404
    assert put_many(caller, statuses=[{"questionId": question_id, "status": "READ"}]).json() == {
        "statuses": [], "notFound": [question_id],
    }  # fmt: skip
    assert put_many(caller, upTo=question_id, status="READ").json() == {"statuses": [], "notFound": [question_id]}
    assert unread(caller) == 0


# --- several messages


@pytest.fixture
def ids(caller) -> list[str]:
    return [caller.send(str(number), client_id="ann")["questionId"] for number in range(4)]


def statuses(caller: Caller) -> list[str]:
    items = caller.history("ann")["messages"]
    return [item["event"]["status"] for item in items if item["type"] == "botResponse"]


def test_several_updates_at_once(caller, ids):
    items = [
        {"questionId": ids[2], "status": "READ"},
        {"questionId": NOBODYS, "status": "READ"},
        {"questionId": ids[0], "status": "DELIVERED", "timestamp": minutes(0)},
        {"questionId": "not an id", "status": "SENT"},
    ]

    response = put_many(caller, statuses=items)

    assert response.status_code == 200
    assert response.json() == {
        "statuses": [{"questionId": ids[2], "status": "READ"}, {"questionId": ids[0], "status": "DELIVERED"}],
        "notFound": [NOBODYS, "not an id"],
    }
    assert statuses(caller) == ["DELIVERED", "SENT", "READ", "SENT"]
    assert sorted(changes()) == ["DELIVERED", "READ"]


def test_of_several_updates_of_one_message_the_last_wins_and_all_are_kept(caller, ids):
    items = [{"questionId": ids[0], "status": status} for status in ("READ", "DELIVERED", "READ", "NOT_SENT")]

    response = put_many(caller, statuses=items)

    assert response.json()["statuses"] == [{"questionId": ids[0], "status": "NOT_SENT"}]
    assert statuses(caller)[0] == "NOT_SENT"
    assert changes() == ["READ", "DELIVERED", "READ", "NOT_SENT"]


def test_an_older_receipt_among_several_is_ignored_and_the_status_told(caller, ids):
    Message.objects.update(status_changed_at=timezone.now() - dt.timedelta(hours=1))
    items = [
        {"questionId": ids[0], "status": "READ", "timestamp": minutes(-10)},
        {"questionId": ids[0], "status": "DELIVERED", "timestamp": minutes(-20)},
        {"questionId": ids[1], "status": "READ", "timestamp": minutes(-70)},
    ]

    response = put_many(caller, statuses=items)

    assert response.json()["statuses"] == [
        {"questionId": ids[0], "status": "READ"},
        {"questionId": ids[1], "status": "SENT"},
    ]
    assert changes() == ["READ"]


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"status": "READ"},
        {"questionId": NOBODYS},
        {"questionId": NOBODYS, "status": "SEEN"},
        {"questionId": NOBODYS, "status": None},
        {"questionId": 5, "status": "READ"},
        {"questionId": None, "status": "READ"},
        {"questionId": "", "status": "READ"},
        {"questionId": "x" * 256, "status": "READ"},
        {"questionId": "a\0b", "status": "READ"},
        {"questionId": NOBODYS, "status": "READ", "timestamp": "now"},
        "x",
        None,
        [],
        1,
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_malformed_item_refuses_the_whole(caller, ids, broken, place):
    items: list = [{"questionId": ids[0], "status": "READ"}, {"questionId": ids[1], "status": "READ"}]
    items.insert(place, broken)

    response = put_many(caller, statuses=items)

    assert response.status_code == 400
    assert set(response.json()["args"]) == {"statuses"}
    assert statuses(caller) == ["SENT"] * 4
    assert changes() == []


def test_a_thousand_updates_are_taken_and_no_more(caller, channel):
    client = make_history(channel, "ann", 2000)
    questions = Message.objects.filter(client=client, type="botResponse").order_by("sequence")
    items = [
        {"questionId": str(name), "status": "READ"} for name in questions.values_list("question_id", flat=True)
    ]

    refused = put_many(caller, statuses=[*items, items[0]])
    assert refused.status_code == 400
    assert unread(caller) == 1000

    assert len(put_many(caller, statuses=items).json()["statuses"]) == 1000
    assert unread(caller) == 0
    assert MessageStatus.objects.count() == 1000


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"statuses": None},
        {"statuses": []},
        {"statuses": {}},
        {"statuses": "x"},
        {"statuses": 1},
        {"status": "READ"},
        {"upTo": NOBODYS},
        {"upTo": NOBODYS, "status": None},
        {"upTo": NOBODYS, "status": "SEEN"},
        {"upTo": 5, "status": "READ"},
        {"upTo": "", "status": "READ"},
        {"upTo": "x" * 256, "status": "READ"},
        {"upTo": NOBODYS, "status": "READ", "timestamp": "now"},
        {"upTo": NOBODYS, "status": "READ", "statuses": [{"questionId": NOBODYS, "status": "READ"}]},
    ],
)
def test_a_body_that_asks_for_nothing_clear_is_refused(caller, ids, body):
    response = put_many(caller, **body)

    assert response.status_code == 400
    assert response.json()["error"] == "invalid_request"
    assert changes() == []


def test_updates_find_messages_of_their_own_client_only(caller, make_channel, ids):
    bobs = caller.send("hi", client_id="bob")["questionId"]
    other = Caller(make_channel())
    anns_elsewhere = other.send("hi", client_id="ann")["questionId"]
    items = [{"questionId": name, "status": "READ"} for name in (bobs, ids[0], anns_elsewhere)]

    assert put_many(caller, statuses=items).json() == {
        "statuses": [{"questionId": ids[0], "status": "READ"}],
        "notFound": [bobs, anns_elsewhere],
    }
    assert put_many(caller, "nobody", statuses=items).json()["notFound"] == [bobs, ids[0], anns_elsewhere]
    assert changes() == ["READ"]


# --- up to a message


def test_up_to_a_message_covers_it_and_all_before_it(caller, ids):
    put(caller, ids[0], status="READ")

    response = put_many(caller, upTo=ids[2], status="READ")

    assert response.json() == {"statuses": [{"questionId": ids[2], "status": "READ"}], "notFound": []}
    assert statuses(caller) == ["READ", "READ", "READ", "SENT"]
    assert changes() == ["READ"] * 3
    assert unread(caller) == 1


def test_up_to_a_message_leaves_newer_changes_alone(caller, ids):
    Message.objects.update(status_changed_at=timezone.now() - dt.timedelta(hours=1))
    put(caller, ids[0], status="READ")

    put_many(caller, upTo=ids[1], status="DELIVERED", timestamp=minutes(-10))

    assert statuses(caller) == ["READ", "DELIVERED", "SENT", "SENT"]


def test_up_to_an_unknown_message_changes_nothing(caller, make_channel, ids):
    bobs = caller.send("hi", client_id="bob")["questionId"]

    for name in (NOBODYS, "x", bobs):
        assert put_many(caller, upTo=name, status="READ").json() == {"statuses": [], "notFound": [name]}
    assert put_many(caller, "nobody", upTo=ids[3], status="READ").json() == {"statuses": [], "notFound": [ids[3]]}
    assert changes() == []


def test_up_to_a_message_covers_any_number(caller, channel):
    client = make_history(channel, "ann", 5002)
    last = Message.objects.get(client=client, sequence=5000)

    put_many(caller, upTo=str(last.question_id), status="READ")

    assert unread(caller) == 1
    assert MessageStatus.objects.count() == 2500


# --- not read


def test_what_is_not_read_is_counted(caller, ids):
    assert unread(caller) == 4
    for name, status in zip(ids, ("READ", "DELIVERED", "NOT_SENT"), strict=False):
        put(caller, name, status=status)

    assert unread(caller) == 3
    put(caller, ids[0], status="DELIVERED")
    assert unread(caller) == 4


def test_an_unknown_client_has_nothing_to_read(caller, make_channel, ids):
    assert unread(caller, "nobody") == 0
    assert unread(Caller(make_channel())) == 0


def test_an_answer_of_several_messages_counts_and_changes_as_several(caller, ids):
    late = Message.objects.get(type="botResponse", question_id=ids[0])
    late.pk, late.sequence, late.route, late.status = None, 100, "late", "NOT_SENT"
    late.save()
    assert unread(caller) == 5
    assert get(caller, ids[0]).json()["status"] == "NOT_SENT"

    assert put(caller, ids[0], status="READ").json() == {"questionId": ids[0], "status": "READ"}

    assert unread(caller) == 3
    assert changes() == ["READ", "READ"]


def test_an_id_is_found_however_it_is_spelled(caller, ids):
    spelled = ids[0].upper()

    assert get(caller, spelled).json() == {"questionId": ids[0], "status": "SENT"}
    response = put_many(caller, statuses=[{"questionId": spelled, "status": "READ"}])
    assert response.json() == {"statuses": [{"questionId": spelled, "status": "READ"}], "notFound": []}
