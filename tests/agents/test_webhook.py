"""An agent's answer on its whole way: from the agents' API over a worker to the webhook."""

import httpx
import pytest
from django.test import Client as HTTPClient

from tests.faults.conftest import broker, hook, make_sink, site

from .api import MOUNT, make_dialog

__all__ = ["broker", "hook", "make_sink", "site"]

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_agents_answer_reaches_the_webhook(site, hook, broker, make_sink, make_agent):
    receiver = make_sink()
    channel = hook(receiver)
    agent = make_agent(channel)
    dialog = make_dialog(channel, "ann", state="open", agent=agent)
    browser = HTTPClient()
    browser.force_login(agent)
    csrf = "x" * 32
    cookies = {"sessionid": browser.cookies["sessionid"].value, "csrftoken": csrf}

    # Without beat: the worker is told of it, no sweep finds it.
    with site.worker("threads", beat=False), site.server("wsgi") as (address, _running):
        page = httpx.Client(cookies=cookies, headers={"X-CSRFToken": csrf}, timeout=60)
        messages = httpx.URL(address).join(f"{MOUNT}dialogs/{dialog.pk}/messages")
        response = page.post(messages, json={"text": "Hello"})
        assert response.status_code == 200, response.text
        (arrival,) = receiver.wait_for(1)

    (item,) = arrival.items
    assert item == {**response.json(), "token": channel.token, "type": "humanResponse"}
    assert (item["clientId"], item["data"]["answer"]) == ("ann", "Hello")
