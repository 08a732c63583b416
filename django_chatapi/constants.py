"""The words of the contract as enums and limits."""

from django.db import models
from django.utils.translation import gettext_lazy as _

#: Longest ``clientId``, ``cid``, ``event`` and ``Idempotency-Key``, in characters (contract, sections 1 and 4).
MAX_NAME_LENGTH = 255
#: Longest ``query``, in characters (contract, section 4).
MAX_QUERY_LENGTH = 10_000
#: Most messages that one page of history or one call about statuses holds (contract, sections 7 and 9).
MAX_ITEMS = 1_000
#: Most events in one answer (contract, section 6).
MAX_EVENTS = 250
#: Longest wait of an events request, in seconds (contract, section 6).
MAX_EVENTS_TIMEOUT = 60
#: Deepest nesting of JSON that is accepted or produced. Python's own encoder gives up near 1 000 levels,
#: less the depth of the stack it is called from; no honest body comes close to this.
MAX_JSON_DEPTH = 100


class MessageType(models.TextChoices):
    """Who speaks."""

    REQUEST = "request", _("request")  # the client
    BOT_RESPONSE = "botResponse", _("bot answer")  # the bot, asked or on its own
    HUMAN_RESPONSE = "humanResponse", _("agent reply")  # an agent


class Route(models.TextChoices):
    """Which way a message went between the caller and us."""

    #: A request sent with ``POST {token}`` or GET; the part of its answer that its own response carried.
    RESPONSE = "response", _("synchronous")
    #: A part of the answer that came after the response had left.
    LATE = "late", _("late")
    #: A request sent with ``POST {token}/async``, and its answer.
    ASYNC = "async", _("asynchronous")
    #: Nobody asked: an agent's reply, or a message that the bot sends on its own; and an event that this package
    #: puts to the bot, with its answer.
    PUSH = "push", _("pushed")


#: The routes of requests that workers answer, each client's in their order.
QUEUED_ROUTES = (Route.ASYNC, Route.PUSH)


class Status(models.TextChoices):
    """How far a message of the bot or of an agent got (contract, section 9)."""

    NOT_SENT = "NOT_SENT", _("not sent")  # no transport has it yet, or the webhook gave up
    SENT = "SENT", _("sent")  # a transport has it
    DELIVERED = "DELIVERED", _("delivered")  # the caller says: it is on the device
    READ = "READ", _("read")  # the caller says: a person saw it


#: What counts as not read.
UNREAD_STATUSES = (Status.NOT_SENT, Status.SENT, Status.DELIVERED)


class AnswerState(models.TextChoices):
    """What became of a request."""

    PENDING = "pending", _("waiting for the bot")  # nothing was answered yet
    PARTIAL = "partial", _("answered in part")  # something was answered, the bot goes on
    ANSWERED = "answered", _("answered")  # the bot is done
    FAILED = "failed", _("failed")  # the bot failed before it said anything
    INTERRUPTED = "interrupted", _("interrupted")  # it failed, or its process died, half-way
    HANDED_OVER = "handed_over", _("for an agent")  # the client was with the agents: the bot has no say


#: Requests that somebody is, or should be, working on.
OPEN_ANSWER_STATES = (AnswerState.PENDING, AnswerState.PARTIAL)
#: Requests that operators should look at.
WRONG_ANSWER_STATES = (AnswerState.FAILED, AnswerState.INTERRUPTED)


class DeliveryState(models.TextChoices):
    """What became of a delivery to a webhook (contract, section 10)."""

    PENDING = "pending", _("pending")  # not accepted yet; it is tried, or waits for its turn
    ACCEPTED = "accepted", _("accepted")  # the endpoint answered 2xx
    FAILED = "failed", _("failed")  # given up: kept, and can be resent by hand


#: Longest line that lists show of a message, in characters.
PREVIEW_LENGTH = 200
#: Events that the bot is told of (contract, section 11).
LIVECHAT_FINISHED = "livechatFinished"
NO_OPERATORS_ONLINE = "noLivechatOperatorsOnline"


class DialogState(models.TextChoices):
    """Where a client is who is not with the bot (contract, section 11)."""

    WAITING = "waiting", _("waiting")  # for an agent
    OPEN = "open", _("open")  # one agent has it
    CLOSED = "closed", _("closed")  # the client is with the bot again


class DialogChangeKind(models.TextChoices):
    """What happens to a dialog. The values of the first two are types of events."""

    JOINED = "agentJoined", _("agent joined")  # took it, or got it
    LEFT = "agentLeft", _("agent left")  # closed it, or gave it away
    HANDED_OVER = "handedOver", _("handed over")  # by the bot
    TRANSFERRED = "transferred", _("transferred")  # by an agent, to another one or to a group
    CLOSED = "closed", _("closed")


class PresenceState(models.TextChoices):
    """Whether an agent is there."""

    ONLINE = "online", _("online")  # takes clients
    AWAY = "away", _("away")  # is there, and takes none
    OFFLINE = "offline", _("offline")  # was not seen for a while


#: The types of events that a caller gets who names none (contract, section 6), and all that one can ask for.
DEFAULT_EVENT_TYPES = frozenset({*MessageType.values, "state"})
AGENT_TYPING = "agentTyping"
EVENT_TYPES: tuple[str, ...] = (
    *MessageType.values,
    "state",
    DialogChangeKind.JOINED.value,
    DialogChangeKind.LEFT.value,
    AGENT_TYPING,
)
