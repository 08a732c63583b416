"""The lists of agents read what they show, however many dialogs there are.

Run it with ``-s`` to see what each query reads, and how long the database takes.
"""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from django_chatapi import dialog_selectors
from django_chatapi.actions import channels
from django_chatapi.dialog_selectors import Sight, sight_of
from django_chatapi.models import AgentGroup, Channel, Client, Dialog

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="the plans of PostgreSQL are looked at"),
]

DIALOGS = 100_000
CLIENTS = 100_000
CHANNELS = 40
LIMIT = 50
BIG_TABLES = {Dialog._meta.db_table, Client._meta.db_table}
#: Rows that a page may read, in tables and indexes: itself, what belongs to its rows, and a look at each place
#: where its next row may be.
PAGE_ROWS = 1_000
#: A search may pass over rows as well, those that it does not find or that the agent does not see.
SEARCH_ROWS = 20_000
#: Pages of tables and indexes that a query may touch: an index that is read from end to end shows no more rows
#: than it finds.
PAGE_BUFFERS, SEARCH_BUFFERS = 1_500, 8_000

STATES = ["closed"] * 12 + ["waiting"] * 4 + ["open"] * 4
WORDS = ["visitor", "visitor", "visitor", "visitor", "visitor", "visitor", "visitor", "web", "web", "Ann"]


@dataclass
class Crowd:
    """Who looks at the dialogs."""

    rare: Sight
    most: Sight
    superuser: Sight
    clients: list[Client]
    start: dt.datetime


@pytest.fixture(scope="module")
def crowd(django_db_setup: None, django_db_blocker: Any) -> Iterator[Crowd]:
    """One crowd for all tests here, which takes some seconds to make."""
    with django_db_blocker.unblock():
        with transaction.atomic():
            made = make_crowd()
            # Now, and not at the end of every test.
            connection.check_constraints()
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE")
            yield made
            transaction.set_rollback(True)
        with connection.cursor() as cursor:
            # What is left of the rows would slow down the tests that follow.
            cursor.execute("VACUUM ANALYZE")


def make_crowd() -> Crowd:
    """Dialogs of forty channels in no order, but for two that make it hard.

    The last channel is rare and was busy long ago: its dialogs were closed before all others, and it waits behind
    all others. The first one is served by nobody: its clients wait before all others.
    """
    start = timezone.now() - dt.timedelta(days=365)
    made = [channels.create(name=f"Channel {number}", bot="echo") for number in range(CHANNELS)]
    unserved, rare = made[0], made[-1]
    groups = {channel.pk: [AgentGroup(channel=channel, name=name) for name in ("A", "B")] for channel in made}
    AgentGroup.objects.bulk_create([group for two in groups.values() for group in two])
    users = User.objects.bulk_create([User(username=f"agent-{number}") for number in range(100)])
    of_most, of_rare, superuser = (
        User.objects.create(username="most"),
        User.objects.create(username="rare"),
        User.objects.create(username="super", is_superuser=True),
    )
    for channel in made[1:-1]:
        groups[channel.pk][0].members.add(of_most)
    groups[rare.pk][0].members.add(of_rare)
    agents = [*users, of_most, of_most, of_most, superuser]

    def channel_of(number: int) -> Channel:
        if number % 500 == 0:
            return rare
        return unserved if number % 10 == 0 else made[1 + number * 7 % (CHANNELS - 2)]

    def state_of(number: int) -> str:
        return STATES[number // 7 % len(STATES)]

    clients = [
        Client(
            pk=number + 1,
            channel=channel_of(number),
            client_id=f"{WORDS[number // 10 % 10]}-{number}" if number % 1000 else f"zoe-{number}",
            created_at=start,
            last_sequence=1,
            dialog_id=number + 1 if state_of(number) != "closed" else None,
        )
        for number in range(CLIENTS)
    ]
    copy(clients)

    def dialog_of(number: int, client: Client) -> Dialog:
        state = state_of(number)
        moment = start + dt.timedelta(seconds=number * 7919 % DIALOGS * 60)
        if client.channel_id == rare.pk:
            moment = start + dt.timedelta(seconds=number, days=400 if state == "waiting" else -400)
        elif client.channel_id == unserved.pk and state == "waiting":
            moment = start + dt.timedelta(seconds=number, days=-300)
        two = groups[client.channel_id]
        return Dialog(
            channel=client.channel,
            client=client,
            search_key=client.client_id.lower(),
            state=state,
            group=[None, two[0], two[1]][number // 3 % 3],
            agent=agents[number % len(agents)] if state != "waiting" else None,
            created_at=moment,
            waiting_since=moment if state == "waiting" else None,
            closed_at=moment if state == "closed" else None,
            changed_at=moment,
            last_message_at=moment,
            last_message="How do I send it back? I have not got the receipt any more.",
        )

    dialogs = [dialog_of(number, client) for number, client in enumerate(clients)]
    # One client comes back day after day.
    dialogs += [dialog_of(7 * number * len(STATES), clients[1]) for number in range(1_000)]
    for number, dialog in enumerate(dialogs, start=1):
        dialog.pk = number
    copy(dialogs)
    return Crowd(sight_of(of_rare), sight_of(of_most), sight_of(superuser), clients, start)


def copy(made: list[Any]) -> None:
    """Store rows several times as fast as ``bulk_create`` does."""
    options = made[0]._meta
    columns = ", ".join(connection.ops.quote_name(field.column) for field in options.concrete_fields)
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {connection.ops.quote_name(options.db_table)} ({columns}) FROM STDIN") as rows,
    ):
        for row in made:
            rows.write_row(
                [
                    field.get_db_prep_save(getattr(row, field.attname), connection)
                    for field in options.concrete_fields
                ]
            )


def read(plan: dict[str, Any]) -> int:
    """Rows that the scans of a plan read, those they dropped included."""
    rows = sum(read(child) for child in plan.get("Plans", ()))
    if "Scan" in plan["Node Type"] and plan["Node Type"] != "Subquery Scan":
        each = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        rows += (each + plan.get("Rows Removed by Index Recheck", 0)) * plan["Actual Loops"]
    return round(rows)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def check(name: str, call: Any, *, rows: int, buffers: int) -> Any:
    """Make the call, then look at how the database answered each of its queries on big tables."""
    statements: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if any(table in sql for table in BIG_TABLES):
            statements.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        result = call()
    assert statements
    total = 0.0
    seen, touched = 0, 0
    plans = []
    for sql, params in statements:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {sql}", params)
            found = cursor.fetchone()[0]
        explained = (json.loads(found) if isinstance(found, str) else found)[0]
        plan = explained["Plan"]
        plans.append(json.dumps(plan, indent=1))
        seen += read(plan)
        touched += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        total += explained["Planning Time"] + explained["Execution Time"]
        scanned = [one["Relation Name"] for one in nodes(plan) if one["Node Type"].endswith("Seq Scan")]
        print(
            f"\n{name}: {explained['Planning Time']:.1f} + {explained['Execution Time']:.1f} ms, "
            f"{read(plan)} rows, {plan['Shared Hit Blocks'] + plan['Shared Read Blocks']} buffers",
            end="",
        )
        assert not BIG_TABLES & set(scanned), (sql, plan)
    assert seen <= rows, (name, statements, plans)
    assert touched <= buffers, (name, statements, plans)
    return result


LISTS = list(dialog_selectors.LISTS)
VIEWERS = ["rare", "most", "superuser"]


@pytest.mark.parametrize("viewer", VIEWERS)
@pytest.mark.parametrize("list_name", LISTS)
def test_a_page_reads_little_more_than_itself(crowd, list_name, viewer):
    sight = getattr(crowd, viewer)

    def page(after=None):
        return dialog_selectors.list_dialogs(sight, list_name, limit=LIMIT, after=after)

    first = check(f"{list_name}, {viewer}", page, rows=PAGE_ROWS, buffers=PAGE_BUFFERS)
    assert bool(first.dialogs) == (list_name != "mine" or viewer != "rare")
    middle = (crowd.start + dt.timedelta(minutes=DIALOGS // 2), 0)
    check(f"{list_name}, {viewer}, middle", lambda: page(middle), rows=PAGE_ROWS, buffers=PAGE_BUFFERS)


@pytest.mark.parametrize("search", ["zoe", "zoe-5000", "ann", "web-1", "visitor-", "v", "nobody"])
@pytest.mark.parametrize("viewer", VIEWERS)
@pytest.mark.parametrize("list_name", LISTS)
def test_a_search_reads_little(crowd, list_name, viewer, search):
    sight = getattr(crowd, viewer)

    def page(after=None):
        return dialog_selectors.list_dialogs(sight, list_name, search=search, limit=LIMIT, after=after)

    found = check(f"{list_name}, {viewer}, {search}", page, rows=SEARCH_ROWS, buffers=SEARCH_BUFFERS)
    assert all(dialog.search_key.startswith(search) for dialog in found.dialogs)
    middle = (crowd.start + dt.timedelta(minutes=DIALOGS // 2), 0)
    name = f"{list_name}, {viewer}, {search}, middle"
    check(name, lambda: page(middle), rows=SEARCH_ROWS, buffers=SEARCH_BUFFERS)


def test_what_was_changed_is_found_by_its_clients(crowd):
    pks = [client.pk for client in crowd.clients[:100]]
    check("changed", lambda: dialog_selectors.changed_dialogs(pks), rows=3_000, buffers=PAGE_BUFFERS)


def test_what_was_changed_is_found_by_its_time(crowd):
    for days in (0, 30, 1000):
        moment = timezone.now() - dt.timedelta(days=days)
        check(
            f"changed for {days} days",
            lambda moment=moment: dialog_selectors.dialogs_changed_since(moment, 200),
            rows=PAGE_ROWS,
            buffers=PAGE_BUFFERS,
        )


@pytest.mark.parametrize(
    ("search", "rows"),
    [
        ("zoe-5000", 1_000),
        ("zoe-", SEARCH_ROWS),
        ("nobody", 1_000),
        # Of many that begin so the latest are wanted, and PostgreSQL may look for them from the latest client on.
        # It meets them soon, unless all of them are old, as these are: then no more than the table bounds it.
        ("web-12", CLIENTS + SEARCH_ROWS),
        ("Ann-", CLIENTS + SEARCH_ROWS),
        ("visitor-", CLIENTS + SEARCH_ROWS),
        ("v", CLIENTS + SEARCH_ROWS),
    ],
)
@pytest.mark.parametrize("viewer", VIEWERS)
@pytest.mark.parametrize("of_channel", [False, True])
def test_clients_to_take_are_found_by_the_beginning_of_their_id(crowd, viewer, search, rows, of_channel):
    sight = getattr(crowd, viewer)
    channel_pk = crowd.clients[0 if viewer == "rare" else 1].channel_id if of_channel else None

    found = check(
        f"clients, {viewer}, {search}{', one channel' if of_channel else ''}",
        lambda: dialog_selectors.clients_to_take(sight, search, channel_pk),
        rows=rows,
        buffers=SEARCH_BUFFERS,
    )

    assert all(client.client_id.startswith(search) for client in found)
    assert all(client.dialog is None or sight.sees(client.dialog) for client in found)
    assert found or search == "nobody" or viewer != "superuser" or of_channel


def test_the_beginning_of_an_id_is_looked_up_in_any_collation(crowd):
    """The database of the tests sorts by bytes, where any index would do."""
    for model, name in ((Client, "chatapi_client_search"), (Dialog, "chatapi_dialog_search")):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_get_indexdef(%s::regclass)", [name])
            assert "varchar_pattern_ops" in cursor.fetchone()[0], model
