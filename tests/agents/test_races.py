"""Agents, clients and the bot at the same moment: one of them is first, and nobody is left in between."""

import contextlib

import pytest
from django.db import connection

from django_chatapi.actions import asking, dialogs, requests
from django_chatapi.exceptions import AlreadyTaken, BotFailed, DialogClosed, NotYourDialog
from django_chatapi.models import AgentGroup, Dialog, DialogChange, DialogNote, Message
from tests.acts.conftest import dialogue, together

from .api import make_dialog
from .conftest import check, client_of, dialog_of, events_for_bot, kinds, take

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("nothing_queued"),
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="SQLite has one writer at a time: there is nothing to race with"
    ),
]

TEXT = [{"type": "text", "text": "hello"}]


def ask(channel, client_id, query):
    """One request from its acceptance to its answer, as the synchronous door does it."""
    accepted = requests.accept(channel=channel, client_id=client_id, query=query).request
    return accepted if accepted.answer_state == "handed_over" else asking.ask(request=accepted)


def only(results, *allowed):
    """What was given, and what was refused; any other error fails the test, a deadlock first of all."""
    unexpected = [one for one in results if isinstance(one, Exception) and not isinstance(one, allowed)]
    assert unexpected == []
    refused = [one for one in results if isinstance(one, Exception)]
    return [one for one in results if not isinstance(one, Exception)], refused


def sequences_are_whole(client_id):
    """Each message has a number of its own, and the agents' events stand between them."""
    numbers = list(Message.objects.filter(client__client_id=client_id).values_list("sequence", flat=True))
    told = DialogChange.objects.filter(client__client_id=client_id, kind__in=("agentJoined", "agentLeft"))
    numbers += told.values_list("sequence", flat=True)
    assert len(numbers) == len(set(numbers))
    assert max(numbers) <= client_of(client_id).last_sequence


def test_two_agents_take_a_waiting_client_at_once(channel, agent, other):
    for number in range(50):
        client_id = f"client-{number}"
        ask(channel, client_id, "human")
        seen = dialog_of(client_id), dialog_of(client_id)

        results = together(
            lambda seen=seen: dialogs.take(dialog=seen[0], agent=agent),
            lambda seen=seen: dialogs.take(dialog=seen[1], agent=other),
        )

        (winner,), (refusal,) = only(results, AlreadyTaken)
        assert winner.agent in (agent, other)
        assert dialog_of(client_id).agent == winner.agent
        assert refusal.details["agent"] == winner.agent.username
        assert kinds(client_id) == ["handedOver", "agentJoined"]
        check(client_id)


def test_two_agents_take_a_client_whom_nobody_handed_over_at_once(channel, agent, other):
    for number in range(50):
        client_id = f"client-{number}"
        ask(channel, client_id, "hi")
        seen = client_of(client_id), client_of(client_id)

        results = together(
            lambda seen=seen: dialogs.take_client(client=seen[0], agent=agent),
            lambda seen=seen: dialogs.take_client(client=seen[1], agent=other),
        )

        (winner,), (refusal,) = only(results, AlreadyTaken)
        assert dialog_of(client_id).agent == winner.agent
        assert refusal.details["agent"] == winner.agent.username
        assert Dialog.objects.filter(client__client_id=client_id).count() == 1
        assert kinds(client_id) == ["agentJoined"]
        check(client_id)


def test_an_agent_takes_the_client_while_the_bot_hands_over(channel, agent):
    for number in range(40):
        client_id = f"client-{number}"
        ask(channel, client_id, "hi")
        seen = client_of(client_id)

        results = together(
            lambda client_id=client_id: ask(channel, client_id, "human"),
            lambda seen=seen: dialogs.take_client(client=seen, agent=agent),
        )

        only(results)
        assert Dialog.objects.filter(client__client_id=client_id).count() == 1
        assert (dialog_of(client_id).state, dialog_of(client_id).agent) == ("open", agent)
        # Either the bot handed over first, or it said nothing.
        handed_over = "handedOver" in kinds(client_id)
        assert handed_over == (dialogue(client_id)[-1][2] == "One moment.")
        check(client_id)
        sequences_are_whole(client_id)


def test_an_agent_takes_the_client_while_the_bot_answers(channel, agent):
    for number in range(40):
        client_id = f"client-{number}"
        ask(channel, client_id, "hi")
        request = requests.accept(channel=channel, client_id=client_id, query="question").request
        seen = client_of(client_id)

        def answer(request=request):
            return asking.ask(request=request)

        results = together(answer, lambda seen=seen: dialogs.take_client(client=seen, agent=agent))

        (given, _dialog), _ = only(results)
        joined = DialogChange.objects.get(client__client_id=client_id).sequence
        answers = Message.objects.filter(client__client_id=client_id, question_id=request.question_id)
        spoken = [one.sequence for one in answers if one.type == "botResponse"]
        assert spoken == ([] if given.data.get("handedOver") else [given.sequence])
        assert all(sequence < joined for sequence in spoken)
        check(client_id)


def test_two_requests_are_handed_over_at_once(channel, agent):
    for number in range(30):
        client_id = f"client-{number}"
        ask(channel, client_id, "hi")
        only(together(*[lambda client_id=client_id: ask(channel, client_id, "human")] * 2))
        assert Dialog.objects.filter(client__client_id=client_id).count() == 1
        assert kinds(client_id) == ["handedOver"]
        check(client_id)


def test_a_client_leaves_with_a_phrase_while_the_agent_replies(say_switch, make_agent):
    channel = say_switch(closeChatPhrases=["bye"], lastMessage="See you!")
    agent = make_agent(channel)
    for number in range(40):
        client_id = f"client-{number}"
        ask(channel, client_id, "human")
        take(agent, client_id)
        seen = dialog_of(client_id)

        results = together(
            lambda client_id=client_id: ask(channel, client_id, "bye"),
            lambda seen=seen: dialogs.reply(dialog=seen, agent=agent, replies=TEXT),
        )

        _, refused = only(results, DialogClosed)
        assert dialog_of(client_id).state == "closed"
        replied = Message.objects.filter(client__client_id=client_id, type="humanResponse").count()
        assert replied + len(refused) == 1
        texts = [text for _, _, text in dialogue(client_id)]
        assert "See you!" in texts
        # Nothing comes from the agent behind the client's good-bye.
        assert "hello" not in texts[texts.index("bye") :]
        assert [name for name, _ in events_for_bot(client_id)] == ["livechatFinished"]
        check(client_id)
        sequences_are_whole(client_id)


def test_an_agent_transfers_a_client_while_the_other_closes(channel, agent, other, superuser):
    for number in range(40):
        client_id = f"client-{number}"
        ask(channel, client_id, "human")
        take(agent, client_id)
        seen = dialog_of(client_id), dialog_of(client_id)
        group = AgentGroup.objects.get(channel=channel)
        to = {"agent": other} if number % 2 else {"group": group}

        results = together(
            lambda seen=seen, to=to: dialogs.transfer(dialog=seen[0], by=agent, **to),
            lambda seen=seen: dialogs.close(dialog=seen[1], agent=superuser),
        )

        only(results, DialogClosed)
        assert dialog_of(client_id).state == "closed"
        assert kinds(client_id)[-1] == "closed"
        assert kinds(client_id).count("agentJoined") == kinds(client_id).count("agentLeft")
        check(client_id)
        sequences_are_whole(client_id)


def test_two_agents_close_at_once(channel, agent, superuser):
    for number in range(30):
        client_id = f"client-{number}"
        ask(channel, client_id, "human")
        take(agent, client_id)
        seen = dialog_of(client_id), dialog_of(client_id)
        results = together(
            lambda seen=seen: dialogs.close(dialog=seen[0], agent=agent),
            lambda seen=seen: dialogs.close(dialog=seen[1], agent=superuser),
        )
        closed, refused = only(results, DialogClosed)
        assert (len(closed), len(refused)) == (1, 1)
        assert kinds(client_id).count("closed") == 1
        assert [name for name, _ in events_for_bot(client_id)] == ["livechatFinished"]
        check(client_id)


def test_an_agent_takes_what_was_only_left_while_another_takes_the_client(say_switch, make_agent):
    channel = say_switch(oneTimeMessage=True)
    agent, other = make_agent(channel), make_agent(channel)
    for number in range(40):
        client_id = f"client-{number}"
        ask(channel, client_id, "human")
        seen = dialog_of(client_id), client_of(client_id)

        results = together(
            lambda seen=seen: dialogs.take(dialog=seen[0], agent=agent),
            lambda seen=seen: dialogs.take_client(client=seen[1], agent=other),
        )

        (winner,), (refusal,) = only(results, AlreadyTaken)
        assert client_of(client_id).dialog_id == winner.pk
        assert refusal.details["agent"] == winner.agent.username
        check(client_id)


def test_a_reply_that_is_repeated_at_once_is_said_once(channel, agent):
    for number in range(30):
        client_id = f"client-{number}"
        ask(channel, client_id, "human")
        take(agent, client_id)

        def reply(client_id=client_id):
            return dialogs.reply(dialog=dialog_of(client_id), agent=agent, replies=TEXT, idempotency_key="k1")

        (first, second), _ = only(together(reply, reply))
        assert first.pk == second.pk
        assert Message.objects.filter(client__client_id=client_id, type="humanResponse").count() == 1


def test_a_note_that_is_repeated_at_once_is_kept_once(channel, agent):
    for number in range(30):
        dialog = make_dialog(channel, f"client-{number}")

        def note(dialog=dialog):
            return dialogs.write_note(dialog=dialog, agent=agent, text="Careful", idempotency_key="k1")

        (first, second), _ = only(together(note, note))
        assert first.pk == second.pk
        assert DialogNote.objects.filter(dialog=dialog).count() == 1


def test_everything_at_once_leaves_the_client_somewhere(say_switch, make_agent, superuser):
    channel = say_switch(closeChatPhrases=["bye"], lastMessage="See you!", appendCloseChatButton=True)
    agent, other = make_agent(channel), make_agent(channel)
    group = AgentGroup.objects.get(channel=channel)
    refusals = (AlreadyTaken, DialogClosed, NotYourDialog, BotFailed)

    for number in range(15):
        client_id = f"client-{number}"
        ask(channel, client_id, "human")

        def often(call):
            def run():
                for _ in range(5):
                    with contextlib.suppress(*refusals):
                        call()

            return run

        def latest(client_id=client_id):
            return dialog_of(client_id)

        results = together(
            often(lambda client_id=client_id: take(agent, client_id)),
            often(lambda client_id=client_id: take(other, client_id)),
            often(lambda latest=latest: dialogs.reply(dialog=latest(), agent=agent, replies=TEXT)),
            often(lambda latest=latest: dialogs.say_typing(dialog=latest(), agent=other)),
            often(lambda latest=latest: dialogs.transfer(dialog=latest(), by=agent, group=group)),
            often(lambda latest=latest: dialogs.mark_read(dialog=latest(), agent=agent)),
            often(lambda latest=latest: dialogs.write_note(dialog=latest(), agent=other, text="x")),
            often(lambda client_id=client_id: ask(channel, client_id, "human")),
            often(lambda client_id=client_id: ask(channel, client_id, "bye")),
            often(lambda latest=latest: dialogs.close(dialog=latest(), agent=superuser)),
        )

        only(results)
        check(client_id)
        sequences_are_whole(client_id)
