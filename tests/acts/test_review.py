"""What only sites of another kind run into: databases behind routers, machines that have no thread to give."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from django_chatapi.actions import asking, leases

ROOT = Path(__file__).resolve().parent.parent.parent

SETTINGS = """
SECRET_KEY = "s" * 50
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "django_chatapi"]
ROOT_URLCONF = "django_chatapi.urls"
ALLOWED_HOSTS = ["*"]
SQLITE = "django.db.backends.sqlite3"
DATABASES = {
    "default": {"ENGINE": SQLITE, "NAME": "default.sqlite3"},
    "chat": {"ENGINE": SQLITE, "NAME": "chat.sqlite3", "ATOMIC_REQUESTS": True},
}
DATABASE_ROUTERS = ["routed.Router"]
CHATAPI = {"BOTS": {"asked": "bot.asked"}, "BOT_POOL_SIZE": 0}

class Router:
    def db_for_read(self, model, **hints):
        return "chat"
    db_for_write = db_for_read
"""

BOT = """
from django.db import connections

def asked(question):
    return f"in a transaction: {connections['chat'].in_atomic_block}"
"""

SCRIPT = """
import django
django.setup()
from unittest import mock
from django.core.management import call_command
from django.test import Client as HTTPClient
from django_chatapi.actions import channels
from django_chatapi.models import Client, Message, rows
from django_chatapi.signals import message_published

call_command("migrate", database="chat", verbosity=0)
channel = channels.create(name="Routed", bot="asked")
http = HTTPClient(raise_request_exception=False)

def send():
    return http.post(f"/{channel.token}", {"clientId": "ann", "query": "hi"}, content_type="application/json")

with mock.patch.object(rows, "insert", side_effect=RuntimeError("disk full")):
    assert send().status_code == 500
# Nothing half-written: the number that the failed request took is free again.
assert Client.objects.get().last_sequence == 0
published = []
message_published.connect(lambda message, **more: published.append(message.type), weak=False)
answer = send().json()
assert answer["data"]["answer"] == "in a transaction: False", answer
assert published == ["request", "botResponse"]
path = f"/{channel.token}/client/ann/message/{answer['questionId']}/status"
assert http.post(path, {"status": "READ"}, content_type="application/json").json()["status"] == "READ"
assert http.post(f"/{channel.token}/client/ann/state", "[1]", content_type="application/json").status_code == 200
print("all well")
"""


def test_a_site_whose_router_puts_the_api_on_another_database_writes_whole_transactions(tmp_path):
    (tmp_path / "routed.py").write_text(SETTINGS)
    (tmp_path / "bot.py").write_text(BOT)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "routed", "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "all well\n"


@pytest.mark.django_db(transaction=True)
def test_a_claim_that_cannot_be_kept_is_not_kept_by_a_later_thread(told, accept, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    keeper = leases._Keeper()
    monkeypatch.setattr(leases, "_keeper", keeper)
    request = accept(told(lambda question: "never asked"))
    with monkeypatch.context() as exhausted:
        exhausted.setattr(leases.threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            asking.ask(request=request)
    assert keeper._holders == {}
