"""Every read of dialogs: who may see which, and their lists."""

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.contrib.auth import get_backends, get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import PermissionsMixin
from django.db import connections, router
from django.db.models import Case, Max, Q, QuerySet, TextField, When
from django.db.models.functions import Left
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .conf import chatapi_settings
from .constants import AnswerState, DialogState, MessageType, PresenceState, Route
from .exceptions import MessageNotFound
from .models import (
    AgentGroup,
    AgentPresence,
    CannedAnswer,
    Channel,
    Client,
    Dialog,
    DialogChange,
    DialogNote,
    Message,
)
from .wire.dialogs import full_name

#: The permission that makes a user an agent (contract, section 11).
PERMISSION = "django_chatapi.answer_client"
#: How long a dialog that was closed is still told of as changed, in seconds.
_JUST_CLOSED = 60
#: Most clients that a search finds.
CLIENTS = 20
#: Longest data of a request that agents get whole, in characters of JSON.
DATA_LIMIT = 20_000
#: Most notes, and most changes, that go with a transcript.
REMARKS = 200

#: Most parts of a list that are merged. Who sees more than these sees most: there is little to pass over, and
#: making a plan would take longer.
_MOST_POOLS = 100

_RELATED = ("channel", "client", "agent", "group")


def is_agent(user: Any) -> bool:
    """Whether a user may answer clients."""
    return bool(user.is_authenticated and user.is_active and user.has_perm(PERMISSION))


@dataclass(frozen=True, slots=True)
class Sight:
    """What an agent sees: the channels and the groups they belong to; a superuser everything."""

    agent_pk: Any
    everything: bool
    channel_pks: frozenset[int]
    group_pks: frozenset[int]

    def sees_channel(self, channel_pk: int) -> bool:
        return self.everything or channel_pk in self.channel_pks

    def sees(self, dialog: Dialog) -> bool:
        if self.everything or dialog.agent_id == self.agent_pk:
            return True
        of_group = dialog.group_id is None or dialog.group_id in self.group_pks
        return dialog.channel_id in self.channel_pks and of_group

    def clients(self) -> Q:
        """What ``sees`` says, for a query of clients of channels that are seen; also those without a dialog."""
        if self.everything:
            return Q()
        of_group = Q(dialog__group__isnull=True) | Q(dialog__group__in=self.group_pks)
        return of_group | Q(dialog__agent=self.agent_pk)


def sight_of(agent: Any) -> Sight:
    """What this agent sees, with one query."""
    if getattr(agent, "is_superuser", False):
        return Sight(agent.pk, True, frozenset(), frozenset())
    groups = list(AgentGroup.objects.filter(members=agent).order_by().values_list("pk", "channel"))
    return Sight(agent.pk, False, frozenset(channel for _, channel in groups), frozenset(pk for pk, _ in groups))


def works_for(user: Any, channel_pk: int) -> bool:
    """Whether a user answers clients of this channel. Who has one, and does so no more, keeps nobody off."""
    return is_agent(user) and sight_of(user).sees_channel(channel_pk)


def find_dialog(sight: Sight, pk: int) -> Dialog | None:
    """The dialog, if the agent sees it."""
    dialog = Dialog.objects.select_related(*_RELATED, "client__channel").filter(pk=pk).first()
    return dialog if dialog is not None and sight.sees(dialog) else None


@dataclass(frozen=True, slots=True)
class DialogPage:
    """A page of a list; ``after`` is the place of its last row, behind which the next page begins."""

    dialogs: list[Dialog]
    has_more: bool
    after: tuple[dt.datetime, int] | None


#: The lists of the agents' API: the state, and the column that orders it, descending with ``-``.
LISTS = {
    "waiting": (DialogState.WAITING, "waiting_since"),
    "mine": (DialogState.OPEN, "-last_message_at"),
    "open": (DialogState.OPEN, "-last_message_at"),
    "closed": (DialogState.CLOSED, "-closed_at"),
}


def list_dialogs(
    sight: Sight, list_name: str, *, search: str = "", limit: int, after: tuple[dt.datetime, int] | None = None
) -> DialogPage:
    """A page of one of the :data:`LISTS`, as far as the agent sees it, with at most two queries.

    Args:
        search: the beginning of a client id, in any case.
        after: the place behind which the page begins; None is the beginning.
    """
    state, order = LISTS[list_name]
    column, descending = order.removeprefix("-"), order.startswith("-")
    dialogs = Dialog.objects.filter(state=state)
    if search:
        dialogs = dialogs.filter(search_key__startswith=search.lower())
    if after is not None:
        moment, pk = after
        # Deliberately not "beyond the moment, or at it and beyond the key": the index would not begin there.
        at_it = Q(**{column: moment, f"pk__{'gte' if descending else 'lte'}": pk})
        dialogs = dialogs.filter(~at_it, **{f"{column}__{'lte' if descending else 'gte'}": moment})
    ordering = (order, "-pk" if descending else "pk")
    if list_name == "mine":
        dialogs = dialogs.filter(agent=sight.agent_pk)
    elif not sight.everything:
        pools = _pools(sight)
        if not pools:
            return DialogPage([], False, None)
        if search or len(pools) > _MOST_POOLS:
            dialogs = dialogs.filter(reduce(or_, pools))
        else:
            return _merged_page([dialogs.filter(pool) for pool in pools], column, ordering, limit)
    found = list(dialogs.order_by(*ordering).select_related(*_RELATED)[: limit + 1])
    places = [(getattr(dialog, column), dialog.pk) for dialog in found]
    return _page(found[:limit], places, limit)


def _pools(sight: Sight) -> list[Q]:
    """What an agent sees of others' dialogs, in parts of which each has its indexes."""
    for_all = [Q(channel=pk, group__isnull=True) for pk in sorted(sight.channel_pks)]
    return [*for_all, *(Q(group=pk) for pk in sorted(sight.group_pks))]


def _merged_page(
    pools: Sequence[QuerySet[Dialog]], column: str, ordering: Sequence[str], limit: int
) -> DialogPage:
    """A page out of several pools: the database reads no more than the beginning of each.

    With one condition for all of them it would read the rows of everybody until it has enough that the agent
    sees: those that wait for other agents, say, and wait longest since nobody comes.
    """
    parts = [pool.values_list(column, "pk") for pool in pools]
    if connections[pools[0].db].features.supports_slicing_ordering_in_compound:
        # PostgreSQL takes them in turn, row by row, only if each is in order by itself.
        parts = [part.order_by(*ordering)[: limit + 1] for part in parts]
    first, *others = parts
    merged = first.union(*others, all=True) if others else first
    places = list(merged.order_by(*ordering)[: limit + 1])
    pks = [pk for _, pk in places[:limit]]
    by_pk = Dialog.objects.select_related(*_RELATED).in_bulk(pks)
    return _page([by_pk[pk] for pk in pks if pk in by_pk], places, limit)


def _page(dialogs: list[Dialog], places: Sequence[tuple[dt.datetime, int]], limit: int) -> DialogPage:
    return DialogPage(dialogs, len(places) > limit, places[:limit][-1] if places else None)


def changed_dialogs(client_pks: Iterable[int]) -> list[Dialog]:
    """The dialogs of these clients that are under way, or were just closed."""
    recent = Q(closed_at__gte=timezone.now() - dt.timedelta(seconds=_JUST_CLOSED))
    current = Dialog.objects.filter(client__in=list(client_pks)).filter(~Q(state=DialogState.CLOSED) | recent)
    return list(current.select_related(*_RELATED))


def dialogs_changed_since(moment: dt.datetime, limit: int) -> list[Dialog]:
    """The dialogs that were changed at or after a moment, latest first."""
    changed = Dialog.objects.filter(changed_at__gte=moment).order_by("-changed_at")
    return list(changed.select_related(*_RELATED)[:limit])


def transcript(dialog: Dialog, *, before: int | None, limit: int) -> tuple[list[Message], bool]:
    """The last ``limit`` messages of a dialog below a sequence number, oldest first; whether there are older.

    Of a request whose data are longer than ``DATA_LIMIT``, ``data`` is the beginning of their JSON, as a text:
    consoles read a page again and again, which must not grow as clients please.
    """
    messages = talk_of(dialog.client_id).filter(sequence__gt=dialog.visible_after)
    if dialog.visible_until is not None:
        messages = messages.filter(sequence__lte=dialog.visible_until)
    if before is not None:
        messages = messages.filter(sequence__lt=before)
    # Cut in the database: what is not shown is not worth being read and parsed.
    begun = Case(
        When(type=MessageType.REQUEST, then=Left("data", DATA_LIMIT + 1)), default="data", output_field=TextField()
    )
    messages = messages.defer("raw_request", "data").annotate(data_begun=begun)
    found: list[Message] = [*messages.order_by("-sequence")[: limit + 1]]
    for message in found:
        message.data = _data_of(message)
    return found[:limit][::-1], len(found) > limit


def _data_of(message: Any) -> Any:
    text: str | None = message.data_begun
    if text is None:
        return None
    is_cut = message.type == MessageType.REQUEST and len(text) > DATA_LIMIT
    return text[:DATA_LIMIT] if is_cut else json.loads(text)


def talk_of(client_pk: int) -> QuerySet[Message]:
    """The client's messages that agents may see.

    Events that this package puts to the bot are not the client's words, nor is what tells callers of agents an
    answer.
    """
    messages = Message.objects.filter(client=client_pk).exclude(type=MessageType.REQUEST, route=Route.PUSH)
    return messages.exclude(type=MessageType.BOT_RESPONSE, answer_state=AnswerState.HANDED_OVER)


def said_after(dialog: Dialog, question_id: UUID) -> int:
    """How many messages the client sent behind this one.

    Raises:
        MessageNotFound
    """
    messages = Message.objects.filter(client=dialog.client_id)
    seen = messages.filter(question_id=question_id).aggregate(sequence=Max("sequence"))["sequence"]
    if seen is None:
        raise MessageNotFound(_("This client has no message with this questionId."))
    return messages.filter(sequence__gt=seen, type=MessageType.REQUEST).exclude(route=Route.PUSH).count()


def notes_of(dialog: Dialog) -> list[DialogNote]:
    """The latest notes of a dialog, oldest first."""
    return list(DialogNote.objects.filter(dialog=dialog).order_by("-pk")[:REMARKS])[::-1]


def changes_of(dialog: Dialog) -> list[DialogChange]:
    """The latest changes of a dialog, oldest first."""
    return list(DialogChange.objects.filter(dialog=dialog).order_by("-pk")[:REMARKS])[::-1]


def clients_to_take(sight: Sight, search: str, channel_pk: int | None) -> list[Client]:
    """Clients whose id begins with a text, on the channels that an agent sees. The whole id comes first.

    Those whose dialog the agent does not see are left out. The channels are spelled out because the indexes begin
    with them.
    """
    clients = Client.objects.select_related("channel", "dialog").filter(sight.clients())
    if channel_pk is not None:
        clients = clients.filter(channel=channel_pk) if sight.sees_channel(channel_pk) else clients.none()
    elif sight.everything:
        clients = clients.filter(channel__in=Channel.objects.order_by())
    else:
        clients = clients.filter(channel__in=sight.channel_pks)
    exact = list(clients.filter(client_id=search)[:CLIENTS])
    others = clients.filter(client_id__startswith=search).exclude(client_id=search)
    return [*exact, *others.order_by("-pk")[: CLIENTS - len(exact)]]


def presence_of(agent: Any) -> PresenceState:
    """Whether an agent is there now."""
    return _presence(AgentPresence.objects.filter(agent=agent).first())


def _presence(found: AgentPresence | None) -> PresenceState:
    return PresenceState(found.state) if found and found.seen_at >= _seen_since() else PresenceState.OFFLINE


def _seen_since() -> dt.datetime:
    return timezone.now() - dt.timedelta(seconds=chatapi_settings.AGENT_PRESENCE_TIMEOUT)


def someone_online(channel: Channel, group: AgentGroup | None) -> bool:
    """Whether an agent is online who would see a client that is handed over to this group, or to all."""
    if router.db_for_read(get_user_model()) != router.db_for_read(AgentPresence):
        return False  # there are no agents where their users cannot be looked up (W007)
    belongs = Q(agent__chatapi_groups=group) if group else Q(agent__chatapi_groups__channel=channel)
    if any(field.name == "is_superuser" for field in get_user_model()._meta.get_fields()):
        belongs |= Q(agent__is_superuser=True)
    online = AgentPresence.objects.filter(belongs, state=PresenceState.ONLINE, seen_at__gte=_seen_since())
    return any(is_agent(presence.agent) for presence in online.select_related("agent").distinct())


def agents_of(channel: Channel) -> list[tuple[Any, PresenceState]]:
    """The agents of a channel with their presence: who is online first, then by username."""
    users = get_user_model()._default_manager.filter(chatapi_groups__channel=channel).distinct()
    agents = _agents_among(users.select_related("chatapi_presence"))
    found = [(agent, _presence(getattr(agent, "chatapi_presence", None))) for agent in agents]
    order = list(PresenceState)
    return sorted(found, key=lambda one: (order.index(one[1]), one[0].get_username()))


def _agents_among(users: QuerySet[Any]) -> list[Any]:
    """Those of the users who may answer clients.

    Whom Django's own backend lets, one query tells, if it is the first that is asked; about the others each user
    is asked, unless nobody else has a say.
    """
    first, *others = get_backends()
    if type(first) is not ModelBackend:
        return [user for user in users if is_agent(user)]
    known = set(users.filter(pk__in=first.with_perm(PERMISSION).values("pk")).values_list("pk", flat=True))
    # Users of a host's own may know better themselves.
    asks_only_backends = getattr(get_user_model(), "has_perm", None) is PermissionsMixin.has_perm
    settled = not others and asks_only_backends
    return [user for user in users if user.pk in known or (not settled and is_agent(user))]


def groups_of(channel: Channel) -> list[AgentGroup]:
    return list(AgentGroup.objects.filter(channel=channel).order_by("name"))


def full_names(usernames: Iterable[str]) -> dict[str, str]:
    """What colleagues call these users; of those who are no more nothing."""
    wanted = list(usernames)
    if not wanted:
        return {}
    model = get_user_model()
    users = model._default_manager.filter(**{f"{model.USERNAME_FIELD}__in": wanted})
    return {user.get_username(): full_name(user) for user in users}


def canned_answers(sight: Sight, channel_pk: int | None) -> Sequence[CannedAnswer]:
    """The canned answers for the agent's channels, or for one of them; those for all channels always."""
    answers = CannedAnswer.objects.select_related("channel")
    if not sight.everything:
        answers = answers.filter(Q(channel__isnull=True) | Q(channel__in=sight.channel_pks))
    if channel_pk is not None:
        answers = answers.filter(Q(channel__isnull=True) | Q(channel=channel_pk))
    return list(answers)
