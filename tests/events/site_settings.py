"""The example project with other settings of the events, given in the environment.

``CHATAPI_TEST_SETTINGS``: further CHATAPI settings as JSON · ``CHATAPI_TEST_LAYER``: the class of the channel
layer · ``CHATAPI_TEST_RENEW``: seconds after which memberships in the layer's groups are renewed ·
``CHATAPI_TEST_POOL``: the options of psycopg's pool as JSON.
"""

import json
import os

from django_chatapi.realtime import hub
from example_project.settings import *  # noqa: F403
from example_project.settings import CHANNEL_LAYERS, CHATAPI, DATABASES

CHATAPI = {**CHATAPI, **json.loads(os.environ.get("CHATAPI_TEST_SETTINGS", "{}"))}
if "CHATAPI_TEST_LAYER" in os.environ:
    CHANNEL_LAYERS["default"]["BACKEND"] = os.environ["CHATAPI_TEST_LAYER"]
if "CHATAPI_TEST_RENEW" in os.environ:
    hub.RENEW_EVERY = float(os.environ["CHATAPI_TEST_RENEW"])
if "CHATAPI_TEST_POOL" in os.environ:
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = json.loads(os.environ["CHATAPI_TEST_POOL"])
