"""The lists of agents hold what an agent sees, in order, each row once."""

import datetime as dt
from itertools import count

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from django_chatapi import dialog_selectors
from django_chatapi.dialog_selectors import LISTS, sight_of
from django_chatapi.models import AgentGroup, Client, Dialog

pytestmark = pytest.mark.django_db


@pytest.fixture
def agents(make_channel):
    """Dialogs of every kind on three channels, many at the same moment; agents who see some, all and none."""
    now = timezone.now().replace(microsecond=0)
    made = {
        name: User.objects.create_user(name, is_superuser=name == "super")
        for name in ("one", "two", "none", "super")
    }
    numbers = count()
    for which in range(3):
        channel = make_channel(name=str(which))
        groups = [AgentGroup.objects.create(channel=channel, name=name) for name in "AB"]
        if which < 2:
            groups[0].members.add(made["two"])
        if which == 0:
            groups[1].members.add(made["one"])
        for state in ("waiting", "open", "closed"):
            for group in [None, *groups]:
                for agent in made.values():
                    number = next(numbers)
                    client = Client.objects.create(channel=channel, client_id=f"{'aBc'[number % 3]}{number}")
                    moment = now + dt.timedelta(seconds=number * 7 % 5)
                    Dialog.objects.create(
                        channel=channel,
                        client=client,
                        search_key=client.client_id.lower(),
                        state=state,
                        group=group,
                        agent=None if state == "waiting" else agent,
                        created_at=moment,
                        waiting_since=moment if state == "waiting" else None,
                        closed_at=moment if state == "closed" else None,
                        changed_at=moment,
                        last_message_at=moment,
                    )
    return made


def expected(sight, agent, list_name, search):
    state, order = LISTS[list_name]
    dialogs = [one for one in Dialog.objects.filter(state=state) if one.search_key.startswith(search)]
    if list_name == "mine":
        dialogs = [one for one in dialogs if one.agent_id == agent.pk]
    elif not sight.everything:
        dialogs = [
            one
            for one in dialogs
            if one.channel_id in sight.channel_pks and (one.group_id is None or one.group_id in sight.group_pks)
        ]
    dialogs.sort(key=lambda one: (getattr(one, order.removeprefix("-")), one.pk), reverse=order[0] == "-")
    return [one.pk for one in dialogs]


@pytest.mark.parametrize("most_pools", [100, 1], ids=["merged", "by one condition"])
@pytest.mark.parametrize("list_name", list(LISTS))
@pytest.mark.parametrize("search", ["", "b"])
def test_the_pages_of_a_list_hold_what_an_agent_sees_each_row_once(
    agents, list_name, search, most_pools, monkeypatch, django_assert_max_num_queries
):
    monkeypatch.setattr(dialog_selectors, "_MOST_POOLS", most_pools)
    for name, agent in agents.items():
        sight = sight_of(agent)
        wanted = expected(sight, agent, list_name, search)
        assert bool(wanted) == (name != "none" or list_name == "mine"), name
        for limit in (1, 5, 1000):
            found, after, more = [], None, True
            while more:
                with django_assert_max_num_queries(2):
                    page = dialog_selectors.list_dialogs(
                        sight, list_name, search=search.upper(), limit=limit, after=after
                    )
                    # What a row shows is at hand.
                    assert all(one.client.client_id and one.channel.name for one in page.dialogs)
                found += [one.pk for one in page.dialogs]
                after, more = page.after, page.has_more
                assert len(page.dialogs) == limit or not more
            assert found == wanted, (name, limit)


def test_a_dialog_that_goes_away_while_a_page_is_read_is_left_out(agents, monkeypatch):
    sight = sight_of(agents["one"])
    whole = dialog_selectors.list_dialogs(sight, "waiting", limit=100)
    gone = whole.dialogs[1].pk
    real = Dialog.objects.select_related

    def select_related(*names):
        Dialog.objects.filter(pk=gone).delete()
        return real(*names)

    monkeypatch.setattr(Dialog.objects, "select_related", select_related)
    page = dialog_selectors.list_dialogs(sight, "waiting", limit=100)

    assert [one.pk for one in page.dialogs] == [one.pk for one in whole.dialogs if one.pk != gone]
    assert page.after == whole.after
