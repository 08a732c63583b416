"""Sites that are set up in other ways than the example project."""

import datetime as dt
import logging
import warnings

import pytest
from django.conf import settings
from django.conf.urls.i18n import i18n_patterns
from django.core.cache import cache
from django.core.cache.backends.base import CacheKeyWarning
from django.http import HttpResponse
from django.test import override_settings
from django.urls import include, path, set_urlconf

from django_chatapi import logs
from django_chatapi.actions import channels

pytestmark = pytest.mark.django_db

OWN = "my-own_token.of:mine"

inner = [path("chat/", include("django_chatapi.urls"))]
urlpatterns = [
    path("first/", include("django_chatapi.urls")),
    path("second/", include("django_chatapi.urls", namespace="second")),
    path("api/", include((inner, "host_api"))),
    *i18n_patterns(path("local/", include("django_chatapi.urls", namespace="local"))),
    path("page/<name>", lambda request, name: HttpResponse(name)),
]


@pytest.fixture
def several_mounts():
    with override_settings(ROOT_URLCONF=__name__, LANGUAGE_CODE="en"):
        logs._path_pattern.cache_clear()
        yield
    set_urlconf(None)
    logs._path_pattern.cache_clear()


@pytest.mark.parametrize("mount", ["/first", "/second", "/api/chat", "/en/local"])
def test_every_mount_of_the_api_answers_and_keeps_its_tokens_out_of_logs(caller, mount, several_mounts):
    body = {"clientId": "ann", "query": "hi"}
    response = caller.http.post(f"{mount}/{caller.token}", body, content_type="application/json")
    assert response.status_code == 200
    assert logs.mask_tokens(f"GET {mount}/{OWN}/client/x") == f"GET {mount}/my-o…/client/x"


def test_a_log_line_in_another_language_masks_the_same(several_mounts):
    assert logs.mask_tokens(f"/pt-br/local/{OWN}") == "/pt-br/local/my-o…"


def test_the_sites_other_paths_are_logged_whole(several_mounts):
    assert logs.mask_tokens(f"/page/{OWN}") == f"/page/{OWN}"


def test_a_site_that_requires_logins_leaves_the_api_to_its_tokens(caller):
    login_required = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, login_required]):
        assert caller.send("hi")["data"]["answer"] == "hi"
        unknown = caller.http.get("/chatapi/no/such/path")
    assert (unknown.status_code, unknown.json()["error"]) == (404, "not_found")


@pytest.fixture
def local_times():
    with override_settings(USE_TZ=False, TIME_ZONE="America/New_York"):
        yield


def test_without_time_zones_the_wire_has_utc_all_the_same(local_times, caller):
    before = dt.datetime.now(dt.timezone.utc).replace(tzinfo=None)
    sent = dt.datetime.fromisoformat(caller.send("hi")["timestamp"])
    assert before - dt.timedelta(seconds=1) < sent < before + dt.timedelta(hours=1)


def test_without_time_zones_a_history_takes_times_of_every_form(local_times, caller):
    sent = caller.send("hi")["timestamp"]
    later = (dt.datetime.fromisoformat(sent) + dt.timedelta(seconds=1)).replace(tzinfo=dt.timezone.utc)
    assert len(caller.history(**{"from": sent})["messages"]) >= 1
    for end in (later.isoformat(), str(int(later.timestamp() * 1000)), later.isoformat()[:23]):
        assert len(caller.history(to=end)["messages"]) == 2
        assert caller.history(**{"from": end})["messages"] == []


@pytest.mark.parametrize("moment", ["0001-01-01T00:00", "9999-12-31T23:59:59.999", -62135596800000])
def test_without_time_zones_no_time_is_too_far_away_for_an_answer(local_times, caller, moment):
    question_id = caller.send("hi")["questionId"]
    body = {"status": "READ", "timestamp": moment}
    response = caller.post("client", "test", "message", question_id, "status", body=body)
    assert response.status_code in (200, 400)
    assert caller.get("client", "test", "history", to=moment).status_code in (200, 400)


def test_without_time_zones_receipts_are_put_in_order(local_times, caller):
    question_id = caller.send("hi")["questionId"]
    status = ("client", "test", "message", question_id, "status")
    now = dt.datetime.now(dt.timezone.utc)
    caller.post(*status, body={"status": "READ", "timestamp": (now + dt.timedelta(minutes=1)).isoformat()})
    stale = caller.post(
        *status, body={"status": "DELIVERED", "timestamp": (now - dt.timedelta(hours=1)).isoformat()}
    )
    assert stale.json()["status"] == "READ"


def test_without_time_zones_a_rotated_channel_can_be_looked_at(local_times, channel, admin_client):
    channels.rotate_token(channel=channel)
    page = admin_client.get(f"/admin/django_chatapi/channel/{channel.pk}/change/")
    assert page.status_code == 200
    assert "works until" in page.content.decode()


class Atoms(dict):
    """What gunicorn gives its access log: every key has a value, headers in any spelling."""

    def __init__(self, atoms):
        super().__init__(atoms)

    def __getitem__(self, key):
        return self.get(key.lower() if key.startswith("{") else key, "-")


def test_gunicorns_access_log_may_name_any_header():
    atoms = Atoms({"r": f"GET /chatapi/{OWN} HTTP/1.1", "{x-id}i": "7"})
    line = logging.LogRecord("gunicorn.access", logging.INFO, "", 0, "%(r)s %({X-Id}i)s %({x}i)s", (atoms,), None)
    assert logs.MaskTokens().filter(line)
    assert line.getMessage() == "GET /chatapi/my-o… HTTP/1.1 7 -"
    assert OWN in atoms["r"]


@override_settings(CHATAPI={"THROTTLE_RATE": "1/min"})
def test_a_throttled_caller_cannot_write_keys_that_a_cache_refuses(caller):
    cache.clear()
    # Django's caches warn of what memcached raises on.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CacheKeyWarning)
        codes = [
            caller.get(clientId="ann", query="hi", headers={"X-Forwarded-For": "é" * 300}).status_code
            for _ in range(2)
        ]
    cache.clear()
    assert codes == [200, 429]
    assert [warning for warning in caught if warning.category is CacheKeyWarning] == []
