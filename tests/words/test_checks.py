"""The system checks: a right site is told nothing, a wrong one what to write."""

import math

import pytest
from celery import current_app
from django.conf import settings as django_settings
from django.core.checks.registry import registry
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from django_chatapi.checks import check_celery, check_connections, check_layer, check_settings
from django_chatapi.conf import Defaults


def complaints(settings, chatapi):
    settings.CHATAPI = chatapi
    return check_settings(None)


def ids(problems):
    return [problem.id.removeprefix("django_chatapi.") for problem in problems]


def every_default():
    return {name: getattr(Defaults, name) for name in Defaults.__annotations__}


def database(**more):
    return {"ENGINE": "django.db.backends.postgresql", "NAME": "site", **more}


@pytest.fixture
def databases(monkeypatch):
    # Not through the settings fixture, which warns: only the check reads them here.
    return lambda **databases: monkeypatch.setattr(django_settings, "DATABASES", databases)


@pytest.mark.parametrize(
    "chatapi",
    [
        {},
        every_default(),
        {"SYNC_TIMEOUT": 5, "THROTTLE_RATE": "600/min", "BOT_POOL_SIZE": 0},
        {"BOTS": {"mine": "example_project.bots.DemoBot", "fun": "tests.bots.echo_twice"}, "DEFAULT_BOT": "mine"},
    ],
)
def test_right_settings_are_passed_in_silence(settings, chatapi):
    assert complaints(settings, chatapi) == []


def test_a_site_without_settings_is_passed_in_silence(settings):
    del settings.CHATAPI
    assert check_settings(None) == []


@pytest.mark.django_db  # newer releases of Django look into the database
def test_the_example_project_passes_every_check():
    call_command("check", fail_level="WARNING")


@pytest.mark.parametrize("chatapi", [None, [], "SYNC_TIMEOUT", 30])
def test_e001_settings_that_are_no_dict(settings, chatapi):
    problem, *others = complaints(settings, chatapi)
    assert ids([problem, *others]) == ["E001"]
    assert "CHATAPI" in problem.msg


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("SYNC_TIMEOUTS", "SYNC_TIMEOUT"),
        ("sync_timeout", "SYNC_TIMEOUT"),
        ("BOT_RETRY", "BOT_RETRIES"),
        ("BOT", "BOTS"),
    ],
)
def test_e002_an_unknown_name_is_answered_with_the_nearest_right_one(settings, wrong, right):
    problem, *others = complaints(settings, {wrong: 1})
    assert ids([problem, *others]) == ["E002"]
    assert wrong in problem.msg
    assert problem.hint == f"Did you mean {right}?"


@pytest.mark.parametrize("wrong", ["COLOUR", 7, None])
def test_e002_a_name_that_is_near_to_none_gets_the_list(settings, wrong):
    problem, *others = complaints(settings, {wrong: 1})
    assert ids([problem, *others]) == ["E002"]
    assert all(name in problem.hint for name in Defaults.__annotations__)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("SYNC_TIMEOUT", "30", "float"),
        ("SYNC_TIMEOUT", None, "float"),
        ("SYNC_TIMEOUT", True, "float"),
        ("BOT_POOL_SIZE", 1.5, "int"),
        ("BOT_POOL_SIZE", False, "int"),
        ("BOTS", ["example_project.bots.DemoBot"], "Mapping"),
        ("DEFAULT_BOT", None, "str"),
        ("THROTTLE_RATE", 600, "str"),
    ],
)
def test_e003_a_value_of_the_wrong_type(settings, name, value, wanted):
    problem, *others = complaints(settings, {name: value})
    assert ids([problem, *others]) == ["E003"]
    assert name in problem.msg
    assert type(value).__name__ in problem.msg
    assert wanted in problem.hint
    assert repr(getattr(Defaults, name)) in problem.hint


@pytest.mark.parametrize(
    "path",
    [
        "nowhere.bots.Bot",
        "example_project.bots.NoBot",
        "DemoBot",
        "example_project.bots.HELP",
        "builtins.len",
        "pathlib.Path",
        "",
        None,
        7,
    ],
)
def test_e004_a_bot_that_cannot_be_had(settings, path):
    problem, *others = complaints(settings, {"BOTS": {"mine": path}})
    assert ids([problem, *others]) == ["E004"]
    assert "CHATAPI['BOTS']['mine']" in problem.msg
    assert "dotted path" in problem.hint


def test_e004_a_default_bot_that_nobody_registered(settings):
    problem, *others = complaints(settings, {"DEFAULT_BOT": "ecco"})
    assert ids([problem, *others]) == ["E004"]
    assert "Did you mean “echo”?" in problem.msg


def test_all_mistakes_are_told_at_once(settings):
    problems = complaints(settings, {"SYNC_TIMEOUTS": 1, "BOT_RETRIES": "2", "BOT_POOL_SIZE": "32"})
    assert ids(problems) == ["E002", "E003", "E003"]


def test_w001_connections_kept_open_under_asgi(settings, databases):
    settings.ASGI_APPLICATION = "site.asgi.application"
    databases(default=database(CONN_MAX_AGE=60), forever=database(CONN_MAX_AGE=None))
    problems = check_connections(None)
    assert ids(problems) == ["W001", "W001"]
    assert "“default”" in problems[0].msg
    assert "“forever”" in problems[1].msg
    assert "CONN_MAX_AGE" in problems[0].hint
    assert "max_size" in problems[0].hint


def test_w001_is_no_matter_under_wsgi_or_without_persistent_connections(settings, databases):
    databases(default=database(CONN_MAX_AGE=60))
    settings.ASGI_APPLICATION = None
    assert check_connections(None) == []
    settings.ASGI_APPLICATION = "site.asgi.application"
    databases(default=database(CONN_MAX_AGE=0), plain=database())
    assert check_connections(None) == []


def test_w002_sqlite_that_upgrades_its_locks(databases):
    sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.sqlite3"}
    databases(
        plain=sqlite,
        deferred={**sqlite, "OPTIONS": {"transaction_mode": "DEFERRED"}},
        right={**sqlite, "OPTIONS": {"transaction_mode": "IMMEDIATE"}},
    )
    problems = check_connections(None)
    assert ids(problems) == ["W002", "W002"]
    assert "“plain”" in problems[0].msg
    assert "IMMEDIATE" in problems[0].hint


@pytest.fixture
def celery_conf():
    """Celery's configuration, to be changed by the test."""
    conf = current_app.conf
    names = ["beat_schedule", "beat_scheduler", "result_backend", "task_store_errors_even_if_ignored"]
    names += ["broker_transport_options", "broker_url"]
    kept = {name: conf[name] for name in names}
    yield conf
    conf.update(kept)


def test_w003_a_sweep_that_nobody_runs(celery_conf):
    celery_conf.beat_schedule = {"other": {"task": "site.tasks.other", "schedule": 5}}
    [problem] = check_celery(None)
    assert ids([problem]) == ["W003"]
    assert "django_chatapi.tasks.sweep" in problem.hint
    celery_conf.beat_scheduler = "django_celery_beat.schedulers:DatabaseScheduler"
    assert check_celery(None) == []


def test_w004_errors_that_celery_keeps(celery_conf):
    celery_conf.result_backend = "redis://localhost"
    assert check_celery(None) == []
    celery_conf.task_store_errors_even_if_ignored = True
    assert ids(check_celery(None)) == ["W004"]


@pytest.mark.parametrize(
    ("url", "seconds", "found"), [("redis://x", 60, ["W005"]), ("redis://x", 3600, []), ("amqp://x", 60, [])]
)
def test_w005_a_visibility_timeout_that_bites(celery_conf, url, seconds, found):
    celery_conf.broker_url, celery_conf.broker_transport_options = url, {"visibility_timeout": seconds}
    assert ids(check_celery(None)) == found


@pytest.mark.parametrize(("version", "found"), [("8.0.1", ["W006"]), ("7.4.0", []), ("odd", [])])
def test_w006_a_redis_py_that_breaks_the_layer(settings, monkeypatch, version, found):
    monkeypatch.setattr("importlib.metadata.version", lambda name: version)
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer"}}
    assert ids(check_celery(None)) == found
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    assert check_celery(None) == []


IN_MEMORY = {"BACKEND": "channels.layers.InMemoryChannelLayer"}
OTHER = {"BACKEND": "channels_redis.core.RedisChannelLayer"}


@pytest.mark.parametrize(
    ("layers", "found"), [({}, ["W008"]), ({"default": IN_MEMORY}, ["W008"]), ({"default": OTHER}, [])]
)
def test_w008_a_layer_that_ends_with_its_process_is_told_of_at_deployment(settings, layers, found):
    settings.CHANNEL_LAYERS = layers
    assert ids(check_layer(None)) == found
    assert check_layer in registry.get_checks(include_deployment_checks=True)
    assert check_layer not in registry.get_checks()


@pytest.mark.django_db  # newer releases of Django look into the database
def test_manage_py_check_runs_them(settings):
    settings.CHATAPI = {"SYNC_TIMEOUTS": 1}
    with pytest.raises(SystemCheckError, match=r"django_chatapi\.E002"):
        call_command("check")
    settings.CHATAPI = {}
    call_command("check", tags=["django_chatapi"], fail_level="WARNING")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SYNC_TIMEOUT", -3),
        ("BOT_POOL_SIZE", -1),
        ("ANSWER_LEASE", 0.0),
        ("THROTTLE_RATE", "abc"),
        ("THROTTLE_RATE", "5/x"),
        ("WEBHOOK_CONCURRENCY", 0),
        ("WEBHOOK_MAX_ITEMS", 0),
        ("WEBHOOK_MAX_BYTES", 0),
        ("WEBHOOK_LEASE", 4.0),
        ("EVENTS_DB_THREADS", 0),
        ("CID_FILTER", "onyl"),
        ("SYNC_TIMEOUT", math.nan),
        ("WEBHOOK_TIMEOUT", math.inf),
        ("WEBHOOK_RETRY_SCHEDULE", [3, -1]),
        ("WEBHOOK_RETRY_SCHEDULE", [3, math.nan]),
        ("WEBHOOK_RETRY_SCHEDULE", [3, math.inf]),
        ("WEBHOOK_RETRY_SCHEDULE", ["3"]),
        ("WEBHOOK_ALLOWED_NETWORKS", ["127.0.0.1/8"]),
        ("WEBHOOK_ALLOWED_NETWORKS", ["localhost"]),
    ],
)
def test_a_value_out_of_range_is_reported(settings, name, value):
    [problem] = complaints(settings, {name: value})

    assert problem.id == "django_chatapi.E005"
    assert name in problem.msg


@pytest.mark.parametrize("chatapi", [{"WEBHOOK_TIMEOUT": 30.0}, {"WEBHOOK_TIMEOUT": 30.0, "WEBHOOK_LEASE": 59.0}])
def test_a_lease_that_ends_while_the_receiver_may_still_answer_is_reported(settings, chatapi):
    [problem] = complaints(settings, chatapi)

    assert problem.id == "django_chatapi.E005"
    assert "WEBHOOK_LEASE" in problem.msg
    assert "twice WEBHOOK_TIMEOUT" in problem.hint
    assert complaints(settings, {"WEBHOOK_TIMEOUT": 30.0, "WEBHOOK_LEASE": 60.0}) == []
    assert ids(complaints(settings, {"WEBHOOK_TIMEOUT": "30", "WEBHOOK_LEASE": 60.0})) == ["E003"]
