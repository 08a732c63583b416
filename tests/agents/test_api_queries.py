"""How many statements a call of an agent costs: never more for more rows, messages or colleagues."""

import pytest

from django_chatapi.models import AgentGroup, CannedAnswer, Connection, DialogChange, DialogNote
from tests.doors.test_queries import statements

from .api import START, Colleague, make_dialog

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("nothing_queued")]

#: Who it is (session, user), what they may (by themselves, by groups), what they see, and that they are here.
BEFORE = 6


@pytest.fixture
def kim(agent):
    return Colleague(agent)


def cost(colleague, path, **query):
    colleague.look(path, **query)  # what is made once is made
    return statements(lambda: colleague.look(path, **query))


def same(few, many, most):
    """Both cost the same, and not much."""
    assert len(few) == len(many), "\n".join(many)
    assert len(many) <= BEFORE + most, "\n".join(many)


@pytest.mark.parametrize("query", [{}, {"search": "cl"}, {"limit": 10}])
@pytest.mark.parametrize("state", ["waiting", "mine", "open", "closed"])
def test_a_list_costs_the_same_whatever_it_holds(channel, agent, make_agent, kim, state, query):
    def fill(numbers):
        for number in numbers:
            holder = None if state == "waiting" else agent if state == "mine" else make_agent(channel)
            kind = "open" if state == "mine" else state
            group = ["Support", None][number % 2]
            make_dialog(channel, f"client {number}", state=kind, agent=holder, group=group, minutes=number)

    fill(range(1))
    few = cost(kim, "dialogs", state=state, **query)
    fill(range(1, 50))
    many = cost(kim, "dialogs", state=state, **query)

    assert len(kim.listed(state)) == 50
    same(few, many, 2)


def test_a_list_costs_the_same_however_many_channels_and_groups_there_are(make_channel, agent, kim):
    def join(count):
        for number in range(count):
            channel = make_channel(name=f"Shop {number}")
            AgentGroup.objects.create(channel=channel, name="All").members.add(agent)
            make_dialog(channel, f"client {number}", group="All", minutes=number)

    join(1)
    few = cost(kim, "dialogs")
    join(30)
    many = cost(kim, "dialogs")

    same(few, many, 2)


def remark(dialog, count):
    """Notes, changes and connections, of people who are all known."""
    more = {"dialog": dialog, "agent_name": "kim", "created_at": START}
    DialogNote.objects.bulk_create(DialogNote(text="a", **more) for _ in range(count))
    change = {**more, "client": dialog.client, "sequence": 1, "kind": "agentJoined", "by_name": "lou"}
    DialogChange.objects.bulk_create(DialogChange(**change) for _ in range(count))
    Connection.objects.bulk_create(
        Connection(client=dialog.client, connection_id=f"tab {number}") for number in range(count)
    )


def test_a_transcript_costs_the_same_whatever_it_holds(channel, other, kim):
    short, long = make_dialog(channel, "short", messages=1), make_dialog(channel, "long", messages=300)
    remark(short, 1)
    remark(long, 50)

    few, many = cost(kim, f"dialogs/{short.pk}"), cost(kim, f"dialogs/{long.pk}")

    assert len(kim.look(f"dialogs/{long.pk}")["messages"]) == 50
    same(few, many, 7)


def test_what_is_further_back_costs_no_more(channel, kim):
    dialog = make_dialog(channel, "long", messages=300)
    first = kim.look(f"dialogs/{dialog.pk}", limit=100)

    costs = [
        cost(kim, f"dialogs/{dialog.pk}", limit=100),
        cost(kim, f"dialogs/{dialog.pk}", before=first["cursor"]),
    ]

    assert len(costs[0]) == len(costs[1])


def test_targets_cost_the_same_however_many_colleagues_there_are(channel, kim, make_agent):
    dialog = make_dialog(channel, "ann")
    few = cost(kim, f"dialogs/{dialog.pk}/targets")
    for number in range(50):
        make_agent(channel, group=f"Group {number}", online=bool(number % 2))

    many = cost(kim, f"dialogs/{dialog.pk}/targets")

    assert len(kim.look(f"dialogs/{dialog.pk}/targets")["agents"]) == 51
    same(few, many, 4)


def test_targets_cost_the_same_however_many_members_are_no_agents(channel, kim, django_user_model):
    dialog = make_dialog(channel, "ann")
    few = cost(kim, f"dialogs/{dialog.pk}/targets")
    for number in range(20):
        AgentGroup.objects.get(channel=channel).members.add(django_user_model.objects.create_user(f"m{number}"))

    same(few, cost(kim, f"dialogs/{dialog.pk}/targets"), 4)
    assert len(kim.look(f"dialogs/{dialog.pk}/targets")["agents"]) == 1


def test_a_search_for_clients_costs_the_same_whatever_it_finds(channel, agent, kim):
    make_dialog(channel, "client", group="Support")
    few = cost(kim, "clients", search="client")
    for number in range(19):
        make_dialog(channel, f"client {number}", state="open", agent=agent, group="Support")

    many = cost(kim, "clients", search="client")

    assert len(kim.look("clients", search="client")["clients"]) == 20
    same(few, many, 2)


def test_canned_answers_cost_the_same_however_many_there_are(channel, kim):
    CannedAnswer.objects.create(channel=channel, shortcut="hi", text="Hi")
    few = cost(kim, "canned-answers")
    answers = (CannedAnswer(channel=channel, shortcut=f"hi-{number}", text="Hi") for number in range(50))
    CannedAnswer.objects.bulk_create(answers)

    same(few, cost(kim, "canned-answers"), 1)


@pytest.mark.parametrize("messages", [2, 3000])
def test_a_reply_costs_the_same_however_long_the_talk_is(channel, agent, kim, messages):
    dialog = make_dialog(channel, "ann", state="open", agent=agent, messages=messages)
    kim.do(f"dialogs/{dialog.pk}/messages", {"text": "Hello"})

    spent = statements(lambda: kim.do(f"dialogs/{dialog.pk}/messages", {"text": "Hello"}))

    assert len(spent) <= BEFORE + 7, "\n".join(spent)
