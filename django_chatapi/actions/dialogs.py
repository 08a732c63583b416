"""Who answers a client: the bot, or an agent (contract, section 11).

``Client.dialog`` decides, and changes under the client's row lock only, together with a sequence number. So
whoever writes for a client knows, in the same transaction, who has the say: a bot's answer that comes after the
hand-over is dropped, and of two agents who take the same client one is told of the other.
"""

import contextlib
import datetime as dt
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import router, transaction
from django.db.models import F, Max
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .. import dialog_selectors, selectors
from ..constants import (
    LIVECHAT_FINISHED,
    MAX_NAME_LENGTH,
    NO_OPERATORS_ONLINE,
    DialogChangeKind,
    DialogState,
    MessageType,
    Route,
)
from ..exceptions import (
    AlreadyTaken,
    ClientNotFound,
    DialogClosed,
    DialogNotFound,
    IdempotencyConflict,
    InvalidRequest,
    NotYourDialog,
)
from ..models import AgentGroup, Channel, Client, Dialog, DialogChange, DialogNote, Message, rows
from ..wire.dialogs import one_line, own_name, preview
from ..wire.envelope import text_reply
from ..wire.switch import Switch
from . import pushes
from .announce import announce_on_commit
from .bot_events import tell_bot
from .turns import take_turn

logger = logging.getLogger("django_chatapi.actions")

#: The same for users who are no agents as for names of nobody: who has an account is none of the agents' business.
NO_SUCH_AGENT = _("The dialog's channel has no such agent.")
#: How far back the client's last phrase is looked for, in messages.
_PHRASE_WITHIN = 20
#: That an agent types is told this often at most: each time costs a number of the client's, and wakes who waits.
_TYPING_EVERY = dt.timedelta(seconds=3)


# From the bot to the agents


def hand_over(*, request: Message, switch: Switch) -> None:
    """Let the client wait for an agent, as the bot's switch reply says. Called inside the answer's transaction.

    With nobody online the client stays with the bot, which is told, unless the switch ignores that.
    """
    client = request.client
    group = _group_named(client.channel, switch.destination)
    # A message that is left waits for who comes.
    if not (switch.ignore_offline or switch.one_time or dialog_selectors.someone_online(client.channel, group)):
        # A bot that hands over whatever it hears would be told, and hand over again, for ever.
        if request.route != Route.PUSH or request.event_name != NO_OPERATORS_ONLINE:
            data = {"destination": switch.destination or None}
            tell_bot(client=client, event_name=NO_OPERATORS_ONLINE, data=data)
        return
    # The phrase that led to it stands in the transcript; behind an event the last one may not.
    first_message = switch.first_message or ("" if request.query else _last_phrase(request))
    first = first_message or request.query or ""
    dialog = _begin(
        client,
        state=DialogState.WAITING,
        group=group,
        one_time=switch.one_time,
        waiting_since=client.last_activity_at,
        unread=1,
        last_message=one_line(first),
        visible_after=_visible_after(request, switch.history),
        first_message=first_message,
        farewell=switch.last_message,
        close_phrases=switch.close_phrases,
        append_close_button=switch.append_close_button,
        attributes=switch.attributes,
        hidden_attributes=switch.hidden_attributes,
    )
    _write_down(dialog, DialogChangeKind.HANDED_OVER, detail=group.name if group else "")
    if switch.one_time:
        dialog.visible_until = client.last_sequence
        dialog.save(update_fields=["visible_until"])
    else:
        _give(client, dialog)


def _group_named(channel: Channel, name: str) -> AgentGroup | None:
    group = AgentGroup.objects.filter(channel=channel, name=name).first() if name else None
    if name and group is None:
        logger.warning("Channel %s has no group of agents “%s”; all its agents see the client.", channel.pk, name)
    return group


def _last_phrase(request: Message) -> str:
    """What the client said last, at most a short walk back."""
    earlier = selectors.recent_history(request.client, request.sequence, _PHRASE_WITHIN)
    said = [message.query for message in earlier if message.type == MessageType.REQUEST and message.query]
    return said[-1] if said else ""


def _visible_after(request: Message, history: int | None) -> int:
    """Behind which sequence number agents read: some messages before the request that led to them, or all."""
    if history is None:
        return 0
    earlier = dialog_selectors.talk_of(request.client_id).filter(sequence__lt=request.sequence)
    number = earlier.order_by("-sequence").values_list("sequence", flat=True)[history : history + 1].first()
    return number or 0


# Among the agents


def take(*, dialog: Dialog, agent: Any) -> Dialog:
    """Give the client to an agent.

    Raises:
        AlreadyTaken: another agent was faster.
        DialogClosed
        DialogNotFound: it went to agents of another group meanwhile.
    """
    with _turn(dialog, agent) as current:
        _take(current, agent)
    return current


def take_client(*, client: Client, agent: Any) -> Dialog:
    """Give an agent a client that nobody handed over; one that the bot is just answering too.

    Raises:
        AlreadyTaken
        ClientNotFound: the bot has just handed the client over to agents of another group.
    """
    known = client.dialog_id
    with transaction.atomic(using=router.db_for_write(Dialog)):
        moment = take_turn(client)
        if client.dialog_id is None:
            past = _after_others(client, agent)
            seen = dialog_selectors.talk_of(client.pk).filter(sequence__gt=past["visible_after"])
            last = seen.order_by("-sequence").first()
            last_message = preview(last) if last is not None else ""
            dialog = _begin(client, state=DialogState.OPEN, last_message=last_message, taken_at=moment, **past)
            _give(client, dialog)
        else:
            dialog = _current(Dialog(pk=client.dialog_id, client=client))
            if dialog.pk != known and not dialog_selectors.sight_of(agent).sees(dialog):
                raise ClientNotFound
        _take(dialog, agent)
        announce_on_commit(client)
    return dialog


def _after_others(client: Client, agent: Any) -> dict[str, Any]:
    """For whom a client is that an agent takes from the bot, and behind which sequence number agents read.

    For the group of the last dialog, if the agent sees that one, or else for all. What was said in dialogs of
    other groups stays theirs.
    """
    earlier = Dialog.objects.filter(client=client)
    last = earlier.order_by("-pk").first()
    group_pk = last.group_id if last is not None and dialog_selectors.sight_of(agent).sees(last) else None
    of_others = earlier.filter(group__isnull=False).exclude(group=group_pk)
    return {"group_id": group_pk, "visible_after": of_others.aggregate(last=Max("visible_until"))["last"] or 0}


def transfer(*, dialog: Dialog, by: Any, agent: Any = None, group: AgentGroup | None = None) -> Dialog:
    """Give the client to another agent, or let it wait for a group.

    Args:
        by: who does it: the dialog's agent; a superuser; anybody who sees it, while it waits or its agent does not
            work for the channel any more.
        agent, group: exactly one of them.

    Raises:
        NotYourDialog, DialogClosed
        DialogNotFound: it went to agents of another group meanwhile.
        InvalidRequest: the agent does not belong to the channel.
    """
    if agent is not None and not dialog_selectors.works_for(agent, dialog.channel_id):
        raise InvalidRequest(details={"agent": [NO_SUCH_AGENT]})
    with _turn(dialog, by) as current:
        _check_in_charge(current, by)
        if agent is not None and current.agent_id == agent.pk:
            return current
        if current.agent is not None:
            _leave(current, by=by)
        if agent is not None:
            _join(current, agent, by=by)
            return current
        now = timezone.now()
        current.state, current.agent, current.group = DialogState.WAITING, None, group
        current.waiting_since = current.changed_at = now
        current.save(update_fields=["state", "agent", "group", "waiting_since", "changed_at"])
        _write_down(current, DialogChangeKind.TRANSFERRED, by=by, detail=group.name if group else "")
    return current


def reply(
    *,
    dialog: Dialog,
    agent: Any,
    replies: Sequence[Mapping[str, Any]],
    idempotency_key: str | None = None,
) -> Message:
    """Say something to the client, as an agent.

    Args:
        replies: as in the contract, section 5.
        idempotency_key: a repetition with the same key gives the first message, and says nothing again.

    Raises:
        NotYourDialog, DialogClosed
        IdempotencyConflict: the key was used for something else, or by another agent.
    """
    try:
        with transaction.atomic(using=router.db_for_write(Message)):
            client = dialog.client
            message = pushes.push(
                client=client,
                replies=replies,
                type=MessageType.HUMAN_RESPONSE,
                agent_name=_username(agent),
                close_button=_close_button(dialog),
                idempotency_key=idempotency_key,
            )
            if idempotency_key is not None:
                _refuse_repetition(message)
            current = _current(dialog)
            if current.agent_id != agent.pk:
                raise NotYourDialog(current.agent)
            current.unread = 0
            _heard(current, message)
    except _Repeated as repeated:
        return repeated.first
    return message


class _Repeated(Exception):
    """Leaves the transaction of a repeated reply, with the first one."""

    def __init__(self, first: Message) -> None:
        self.first = first


def _refuse_repetition(message: Message) -> None:
    same = Message.objects.filter(client=message.client, idempotency_key=message.idempotency_key)
    first = same.filter(type=MessageType.HUMAN_RESPONSE).exclude(pk=message.pk).first()
    if first is None:
        return
    if (first.agent_name, first.data) != (message.agent_name, message.data):
        raise IdempotencyConflict  # not said, and the caller must not think so
    raise _Repeated(first)


def write_note(*, dialog: Dialog, agent: Any, text: str, idempotency_key: str | None = None) -> DialogNote:
    """Keep an internal note, which the client never gets. A closed dialog takes notes too.

    Args:
        idempotency_key: a repetition with the same key gives the first note, and keeps no other.

    Raises:
        IdempotencyConflict: the key was used for another text, or by another agent.
    """
    author = _username(agent)
    with transaction.atomic(using=router.db_for_write(Dialog)):
        now = timezone.now()
        # First the dialog's row: MySQL has the note share a lock on it, and of two who do both wait for the other.
        Dialog.objects.filter(pk=dialog.pk).update(changed_at=now)
        if idempotency_key is not None:
            first = DialogNote.objects.filter(dialog=dialog, idempotency_key=idempotency_key).first()
            if first is not None:
                if (first.agent_name, first.text) != (author, text):
                    raise IdempotencyConflict
                return first
        note = DialogNote.objects.create(
            dialog=dialog, agent_name=author, text=text, created_at=now, idempotency_key=idempotency_key
        )
        announce_on_commit(dialog.client)
    return note


def say_typing(*, dialog: Dialog, agent: Any) -> None:
    """Tell the client that the agent types. So shortly after the last time it is not said again.

    Raises:
        NotYourDialog, DialogClosed, DialogNotFound
    """
    said = dialog.typing_at if dialog.state == DialogState.OPEN and dialog.agent_id == agent.pk else None
    if said is not None and timezone.now() - said < _TYPING_EVERY:
        return
    with _turn(dialog, agent) as current:
        if current.agent_id != agent.pk:
            raise NotYourDialog(current.agent)
        current.typing_at, current.typing_sequence = timezone.now(), current.client.last_sequence
        current.save(update_fields=["typing_at", "typing_sequence"])


def mark_read(*, dialog: Dialog, agent: Any, up_to: UUID | None = None) -> None:
    """The dialog's agent has seen what the client wrote. What others see leaves it unread.

    Args:
        up_to: the ``question_id`` of the last message that was seen; None: all of them.

    Raises:
        MessageNotFound
    """
    with transaction.atomic(using=router.db_for_write(Dialog)):
        unread = 0
        if up_to is not None:
            # Under the client's lock: what is being stored just now counts too.
            Client.objects.select_for_update().get(pk=dialog.client_id)
            unread = dialog_selectors.said_after(dialog, up_to)
        theirs = Dialog.objects.filter(pk=dialog.pk, agent=agent, unread__gt=unread)
        if theirs.update(unread=unread, changed_at=timezone.now()):
            announce_on_commit(dialog.client)


def release(*, agent: Any) -> None:
    """Let all clients of an agent who goes for good wait again, for the groups that they were handed over to."""
    theirs = Dialog.objects.filter(agent=agent, state=DialogState.OPEN).order_by("client")
    for dialog in theirs.select_related("client__channel", "group"):
        with contextlib.suppress(DialogClosed, DialogNotFound, NotYourDialog):  # somebody was faster
            transfer(dialog=dialog, by=agent, group=dialog.group)


# Back to the bot


def close(*, dialog: Dialog, agent: Any) -> Dialog:
    """Give the client back to the bot, which is told.

    Raises:
        NotYourDialog: another agent has it.
        DialogClosed
        DialogNotFound: it went to agents of another group meanwhile.
    """
    with _turn(dialog, agent) as current:
        _check_in_charge(current, agent)
        _end(current, by=agent)
    return current


def hear(*, request: Message) -> None:
    """A request of a client who is with the agents. Called inside the transaction that stores it.

    One of the dialog's phrases closes it.
    """
    client = request.client
    dialog = Dialog.objects.select_related("agent").get(client=client, pk=client.dialog_id or 0)
    dialog.client = client
    said = (request.query or "").strip().casefold()
    if said and said in [phrase.strip().casefold() for phrase in dialog.close_phrases]:
        _heard(dialog, request)
        _end(dialog, by=None)
        return
    # Not what it was when read plus one: its agent marks it as read without the client's lock.
    dialog.unread = F("unread") + 1
    _heard(dialog, request)


def _end(dialog: Dialog, *, by: Any) -> None:
    """Close it, under the client's lock.

    Args:
        by: the agent; None is the client.
    """
    client = dialog.client
    if dialog.agent is not None:
        if by is None:
            take_turn(client)  # a number apart from the phrase's: readers go on behind numbers
        _write_down(dialog, DialogChangeKind.LEFT, agent=dialog.agent, by=by)
    _write_down(dialog, DialogChangeKind.CLOSED, by=by)
    was_away = client.dialog_id == dialog.pk
    if was_away:
        _give(client, None)
    dialog.state, dialog.unread, dialog.waiting_since = DialogState.CLOSED, 0, None
    dialog.closed_at = dialog.changed_at = timezone.now()
    if by is None and dialog.farewell:
        pushes.push(client=client, replies=[text_reply(dialog.farewell)], type=MessageType.BOT_RESPONSE)
    if dialog.visible_until is None:
        dialog.visible_until = client.last_sequence
    dialog.save(update_fields=["state", "unread", "waiting_since", "closed_at", "changed_at", "visible_until"])
    if was_away:
        data = {"closedBy": "client" if by is None else "agent", "agentJoined": dialog.taken_at is not None}
        tell_bot(client=client, event_name=LIVECHAT_FINISHED, data=data)


# Steps


@contextlib.contextmanager
def _turn(dialog: Dialog, by: Any) -> Iterator[Dialog]:
    """A turn of the client in a transaction, and the dialog as it is under the client's lock.

    Raises:
        DialogClosed
        DialogNotFound: it went to agents of another group meanwhile, of whom this one is not.
    """
    client = dialog.client
    with transaction.atomic(using=router.db_for_write(Dialog)):
        take_turn(client)
        current = _current(dialog)
        if current.group_id != dialog.group_id:
            _check_seen(current, by)
        yield current
        announce_on_commit(client)


def _current(dialog: Dialog) -> Dialog:
    current = Dialog.objects.select_related("agent", "group", "channel").get(pk=dialog.pk)
    if current.state == DialogState.CLOSED:
        raise DialogClosed
    current.client = dialog.client
    return current


def _begin(client: Client, *, state: DialogState, last_message: str, **columns: Any) -> Dialog:
    moment = client.last_activity_at or timezone.now()
    return Dialog.objects.create(
        channel=client.channel,
        client=client,
        search_key=client.client_id.lower(),
        state=state,
        created_at=moment,
        changed_at=timezone.now(),
        last_message=last_message,
        last_message_at=moment,
        **columns,
    )


def _give(client: Client, dialog: Dialog | None) -> None:
    """Say who answers the client from now on. The client's row is locked, and its number taken, by the caller."""
    client.dialog = dialog
    rows.update(Client, {"id": client.pk}, {"dialog_id": dialog.pk if dialog else None})


def _take(dialog: Dialog, agent: Any) -> None:
    if dialog.agent_id == agent.pk:
        return
    if dialog.agent is not None:
        if dialog_selectors.works_for(dialog.agent, dialog.channel_id):
            raise AlreadyTaken(dialog.agent)
        _leave(dialog, by=agent)
    _join(dialog, agent, by=agent)


def _leave(dialog: Dialog, *, by: Any) -> None:
    """Write down that its agent leaves, with a number apart from what follows: readers go on behind numbers."""
    _write_down(dialog, DialogChangeKind.LEFT, agent=dialog.agent, by=by)
    take_turn(dialog.client)


def _join(dialog: Dialog, agent: Any, *, by: Any) -> None:
    now = timezone.now()
    dialog.state, dialog.agent, dialog.changed_at = DialogState.OPEN, agent, now
    dialog.taken_at = dialog.taken_at or now
    dialog.waiting_since = dialog.typing_at = None  # who typed was another one
    dialog.save(update_fields=["state", "agent", "changed_at", "taken_at", "waiting_since", "typing_at"])
    if dialog.one_time:
        _answer_one_time(dialog)
    _write_down(dialog, DialogChangeKind.JOINED, agent=agent, by=by)


def _answer_one_time(dialog: Dialog) -> None:
    """An agent answers a message that was only left: from here on it is a dialog like any other."""
    client = dialog.client
    if client.dialog_id is not None:
        holder = Dialog.objects.select_related("agent").get(pk=client.dialog_id).agent
        if holder is None or holder == dialog.agent:
            raise InvalidRequest(_("The client is in another dialog, which waits or is yours; go on in that one."))
        raise AlreadyTaken(holder)
    dialog.one_time, dialog.visible_until = False, None
    dialog.save(update_fields=["one_time", "visible_until"])
    _give(client, dialog)


def _check_seen(dialog: Dialog, agent: Any) -> None:
    if not dialog_selectors.sight_of(agent).sees(dialog):
        raise DialogNotFound


def _check_in_charge(dialog: Dialog, user: Any) -> None:
    if dialog.agent is None or dialog.agent_id == user.pk or getattr(user, "is_superuser", False):
        return
    if dialog_selectors.works_for(dialog.agent, dialog.channel_id):
        raise NotYourDialog(dialog.agent)


def _close_button(dialog: Dialog) -> str | None:
    return dialog.close_phrases[0] if dialog.append_close_button and dialog.close_phrases else None


def _heard(dialog: Dialog, message: Message) -> None:
    """The latest message, as lists show it."""
    dialog.last_message, dialog.last_message_at = preview(message), message.created_at
    dialog.changed_at = timezone.now()
    dialog.save(update_fields=["unread", "last_message", "last_message_at", "changed_at"])


def _write_down(
    dialog: Dialog, kind: DialogChangeKind, *, agent: Any = None, by: Any = None, detail: str = ""
) -> None:
    """Record a change, with the client's latest sequence number."""
    DialogChange.objects.create(
        dialog=dialog,
        client=dialog.client,
        sequence=dialog.client.last_sequence,
        kind=kind,
        agent_name=_username(agent) if agent else "",
        shown_name=own_name(agent)[:MAX_NAME_LENGTH] if agent else "",
        by_name=_username(by) if by else "",
        detail=detail,
        created_at=dialog.client.last_activity_at or timezone.now(),
    )


def _username(user: Any) -> str:
    """As records keep it: a host's own usernames may be longer, or numbers."""
    return str(user.get_username())[:MAX_NAME_LENGTH]
