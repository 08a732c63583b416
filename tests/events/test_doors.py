"""What each door does at its limits and at its end, with each kind of channel layer, and beside other doors."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest

from django_chatapi.actions.turns import client_for
from django_chatapi.models import Client, Connection
from tests.servers import process, wait_until

from .conftest import Listener
from .helpers import NEVER, answers, end, hears_nudges, layer_server, redis_layer, say, site

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ann(channel):
    return client_for(channel=channel, client_id="ann")


@pytest.fixture
def threads():
    with ThreadPoolExecutor(8) as threads:
        yield threads


def poll(path, **query):
    return httpx.get(f"{path}/events", params={"clientId": "ann", **query}, timeout=30)


def hold(threads, path, *cids, **query):
    """Begin to poll for each of these connections; return when the server has begun with all."""
    held = [threads.submit(poll, path, **{"cid": cid, "timeout": 30, **query}) for cid in cids]
    begun = Connection.objects.filter(connection_id__in=cids)
    wait_until(lambda: begun.count() == len(cids), what="the polls' begin")
    return held


def test_a_thread_per_poll_is_limited_before_the_site_starves(channel, ann, threads):
    with site("wsgi", MAX_SYNC_POLLS=2) as (address, _):
        path = f"{address}/chatapi/{channel.token}"
        held = hold(threads, path, "a", "b")

        wait_until(lambda: poll(path, cid="c", timeout=0.1).status_code == 503, what="the limit")
        refused = poll(path, cid="c", timeout=5)
        at_once = poll(path, cid="c", timeout=0)
        sent = httpx.post(path, json={"clientId": "bob", "query": "hi"}, timeout=30)
        say("ann", "hello")

        assert (refused.status_code, refused.json()["error"]) == (503, "too_many_polls")
        assert int(refused.headers["retry-after"]) > 0
        assert at_once.status_code == sent.status_code == 200
        assert [answers(waiting.result().json()) for waiting in held] == [["hello"]] * 2
        wait_until(lambda: poll(path, cid="c", timeout=0.1).status_code == 200, what="room for a poll")
        assert answers(poll(path, cid="d", timeout=5).json()) == ["hello"]  # there is something: no need to wait


def test_one_client_cannot_take_all_places(channel, ann, threads):
    client_for(channel=channel, client_id="bob")
    with site("wsgi", MAX_SYNC_POLLS=8) as (address, _):
        path = f"{address}/chatapi/{channel.token}"
        held = hold(threads, path, "a", "b")

        wait_until(lambda: poll(path, cid="c", timeout=0.1).status_code == 503, what="ann's limit")
        other = poll(path, clientId="bob", timeout=0.1)
        say("ann", "hello")

        assert other.status_code == 200
        assert [answers(waiting.result().json()) for waiting in held] == [["hello"]] * 2


def test_the_other_door_has_no_such_limit(channel, ann, threads):
    with site(MAX_SYNC_POLLS=1) as (address, _):
        held = hold(threads, f"{address}/chatapi/{channel.token}", "a", "b", "c")
        say("ann", "hello")

        assert [answers(waiting.result().json()) for waiting in held] == [["hello"]] * 3


def test_a_server_that_is_told_to_stop_answers_its_waiters(channel, ann, threads):
    with site(EVENTS_SWEEP=NEVER) as (address, running):
        path = f"{address}/chatapi/{channel.token}"
        held = hold(threads, path, "a", "b", "c")
        assert poll(path, cid="d", timeout=0.3).status_code == 200

        end(running)  # waits less long than the polls would

        for waiting in held:
            response = waiting.result()
            assert (response.status_code, response.json()["events"]) == (200, [])


@pytest.mark.parametrize("kinds", [("asgi", "asgi"), ("asgi", "wsgi")], ids=" and ".join)
def test_a_newer_poll_ends_the_older_one_in_another_process(kinds, channel, ann, threads, settings):
    with layer_server() as valkey, contextlib.ExitStack() as stack:
        settings.CHANNEL_LAYERS = redis_layer(valkey.connection_url)
        listeners = []
        for kind in kinds:
            address, _ = stack.enter_context(
                site(kind, env={"REDIS_URL": valkey.connection_url}, EVENTS_SWEEP=NEVER)
            )
            listener = stack.enter_context(contextlib.closing(Listener(address, channel)))
            # A process hears of others once it has joined the layer's groups, which its first poll begins.
            wait_until(partial(hears_nudges, listener), what="the first nudge")
            listeners.append(listener)
        first, second = listeners
        cursor = first.poll()["cursor"]
        other = first.start(cid="b", cursor=cursor)
        waiting = first.start(cid="a", cursor=cursor)

        for newer in (second, first, second):
            older, waiting = waiting, threads.submit(newer.poll, cid="a", cursor=cursor, timeout=20)
            assert older.result(timeout=10)["events"] == []  # long before its own time is over
        say("ann", "to the newest")

        assert answers(waiting.result()) == answers(other.result()) == ["to the newest"]


def test_a_command_that_says_something_and_ends_is_heard(channel, ann, settings):
    with layer_server() as valkey:
        settings.CHANNEL_LAYERS = redis_layer(valkey.connection_url)
        env = {"REDIS_URL": valkey.connection_url}
        with site(env=env, EVENTS_SWEEP=NEVER) as (address, _):
            listener = Listener(address, channel)
            wait_until(partial(hears_nudges, listener), what="the first nudge")
            waiting = listener.start(cid="a", cursor=listener.poll()["cursor"])

            command = ["django", "chatapi_say", "--channel", channel.token, "--client", "ann", "from a command"]
            with process(*command, **env) as saying:
                assert saying.wait(timeout=30) == 0

            assert answers(waiting.result()) == ["from a command"]
            listener.close()


@pytest.mark.parametrize(
    "layer", ["channels_redis.core.RedisChannelLayer", "channels_redis.pubsub.RedisPubSubChannelLayer"]
)
def test_each_layer_of_channels_redis_carries_nudges_between_processes(layer, channel, threads):
    client_for(channel=channel, client_id="ann")
    with layer_server() as valkey, contextlib.ExitStack() as stack:
        env = {"REDIS_URL": valkey.connection_url, "CHATAPI_TEST_LAYER": layer}
        listening, _ = stack.enter_context(site(env=env, EVENTS_SWEEP=NEVER))
        sending, _ = stack.enter_context(site("wsgi", env=env))
        path = f"/chatapi/{channel.token}"

        def heard():
            number = Connection.objects.count()
            cursor = poll(listening + path, all="true", timeout=0).json()["cursor"]
            [waiting] = hold(threads, listening + path, f"d{number}", all="true", cursor=cursor, timeout=3)
            sent = httpx.post(sending + path, json={"clientId": "ann", "query": "hi"}, timeout=20)
            assert sent.status_code == 200
            return waiting.result().json()["events"]

        wait_until(heard, what="a nudge")


def test_without_a_shared_layer_one_process_wakes_its_own_waiters(channel, ann, threads):
    with site(EVENTS_SWEEP=NEVER) as (address, _):
        path = f"{address}/chatapi/{channel.token}"
        [waiting] = hold(threads, path, "a", all="true")

        assert httpx.post(path, json={"clientId": "ann", "query": "hi"}, timeout=30).status_code == 200

        assert waiting.result().json()["events"][0]["type"] == "request"
        assert Client.objects.count() == 1
