"""Whether agents are there."""

import datetime as dt
from typing import Any

from django.utils import timezone

from ..conf import chatapi_settings
from ..constants import PresenceState
from ..models import AgentPresence

#: Being seen is written down this often at most, in seconds: agents call many times a minute.
_SEEN_EVERY = 20


def set_presence(*, agent: Any, state: PresenceState) -> None:
    """An agent says whether they take clients."""
    now = timezone.now()
    AgentPresence.objects.update_or_create(
        agent=agent, defaults={"state": state, "changed_at": now, "seen_at": now}
    )


def saw(*, agent_pk: Any) -> None:
    """An agent did something: what they said last about themselves goes on to hold.

    Deliberately not once it has run out: who went home online would be so again, without a word, with whatever
    they call next.
    """
    now = timezone.now()
    timeout = chatapi_settings.AGENT_PRESENCE_TIMEOUT
    before = now - dt.timedelta(seconds=min(_SEEN_EVERY, timeout / 2))
    holding = AgentPresence.objects.filter(agent=agent_pk, seen_at__gte=now - dt.timedelta(seconds=timeout))
    holding.filter(seen_at__lt=before).update(seen_at=now)
