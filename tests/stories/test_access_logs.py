"""What the real servers write into their logs: every call, and no token (contract, section 3)."""

import httpx
import pytest

from django_chatapi.actions import channels
from tests.servers import printed, wait_until, web_server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_the_access_log_names_every_call_and_no_token(kind, make_channel):
    generated, own = make_channel(), make_channel(token="my-own.token:of_sixteen-or-more", bot="recorded")
    old = generated.token
    channels.rotate_token(channel=generated)
    tokens = [old, generated.token, own.token]

    with (
        web_server(kind, GRANIAN_LOG_ACCESS_ENABLED="true") as (address, running),
        httpx.Client(timeout=60) as http,
    ):
        for token in [*tokens, old.replace(":", "%3A"), generated.token.replace(":", "%3a")]:
            base = f"{address}/chatapi/{token}"
            http.post(base, json={"clientId": "ann", "query": "hi"})
            http.get(base, params={"clientId": "ann"})
            http.get(f"{base}/client/a%2Fb/history")
            http.get(f"{base}/nowhere")
            http.delete(base)
            http.get(base, headers={"Host": "evil.example"})
        http.get(f"{address}/chatapi/{old}/client/the-last-call/state")
        wait_until(lambda: "the-last-call" in printed(running), what="the access log")
        log = printed(running)

    assert "/chatapi/" + old[:4] in log
    assert "/history" in log
    assert [token for token in tokens if token in log or token.partition(":")[2] in log] == []
    for secret in (generated.webhook_secret, generated.identity_secret, own.webhook_secret, own.identity_secret):
        assert secret not in log
