"""The CHATAPI settings: defaults, and reading through to what the host's settings say now."""

import pytest
from django.test import override_settings

from django_chatapi.conf import Defaults, chatapi_settings

NAMES = list(Defaults.__annotations__)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_host_does_not_set_has_its_default(name, settings):
    settings.CHATAPI = {}
    assert getattr(chatapi_settings, name) == getattr(Defaults, name)


def test_no_setting_is_needed_at_all(settings):
    del settings.CHATAPI
    assert chatapi_settings.SYNC_TIMEOUT == 30


def test_the_contracts_numbers_are_the_defaults():
    assert (Defaults.SYNC_TIMEOUT, Defaults.RESPONSE_GAP) == (30, 3)
    assert Defaults.SESSION_TIMEOUT == Defaults.IDEMPOTENCY_WINDOW == 24 * 60 * 60
    assert (Defaults.MAX_BODY_BYTES, Defaults.MAX_STATE_BYTES) == (1024 * 1024, 256 * 1024)


def test_every_access_reads_the_settings_again():
    with override_settings(CHATAPI={"SYNC_TIMEOUT": 1.5}):
        assert chatapi_settings.SYNC_TIMEOUT == 1.5
        with override_settings(CHATAPI={"SYNC_TIMEOUT": 2.5}):
            assert chatapi_settings.SYNC_TIMEOUT == 2.5
        assert chatapi_settings.SYNC_TIMEOUT == 1.5
    assert chatapi_settings.SYNC_TIMEOUT == 30


def test_a_dict_changed_in_place_counts(settings):
    settings.CHATAPI = {}
    settings.CHATAPI["BOT_RETRIES"] = 7
    assert chatapi_settings.BOT_RETRIES == 7


@pytest.mark.parametrize("falsy", [0, None, {}, ""])
def test_a_falsy_value_is_a_value(falsy):
    with override_settings(CHATAPI={"BOT_POOL_SIZE": falsy}):
        assert falsy == chatapi_settings.BOT_POOL_SIZE


def test_an_unknown_name_is_an_attribute_error_even_if_the_host_sets_it():
    with override_settings(CHATAPI={"SYNC_TIMEOUTS": 1}), pytest.raises(AttributeError, match="SYNC_TIMEOUTS"):
        chatapi_settings.SYNC_TIMEOUTS  # noqa: B018
