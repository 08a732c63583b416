"""Errors in the language that the site chose for the call."""

import pytest


@pytest.fixture(autouse=True)
def callers_choose_the_language(settings):
    settings.MIDDLEWARE = ["django.middleware.locale.LocaleMiddleware", *settings.MIDDLEWARE]


def test_each_caller_reads_its_own_language_whoever_erred_before(caller):
    def complaint(language: str) -> str:
        response = caller.post(body={"clientId": "x" * 256, "query": "hi"}, headers={"Accept-Language": language})
        assert response.status_code == 400
        return response.json()["args"]["clientId"][0]

    assert "no more than 255 characters" in complaint("en")
    assert "nicht mehr als 255 Zeichen" in complaint("de")
    assert "no more than 255 characters" in complaint("en")
