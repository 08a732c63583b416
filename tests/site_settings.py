"""The example project as a site of the tests: other bots, a sweep every half second, brakes.

``CHATAPI_TEST_SETTINGS`` in the environment holds further CHATAPI settings as JSON, ``CHATAPI_TEST_BROKER`` the
URL of a broker other than ``REDIS_URL``, ``CHATAPI_TEST_SWEEP`` the seconds between two sweeps.
"""

import json
import os

from example_project.settings import *  # noqa: F403
from example_project.settings import CELERY_BEAT_SCHEDULE, CELERY_BROKER_URL, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults.brakes.Brakes"]
CHATAPI = {
    "BOTS": {"gated": "tests.bots.gated"},
    **json.loads(os.environ.get("CHATAPI_TEST_SETTINGS", "{}")),
}
CELERY_BROKER_URL = os.environ.get("CHATAPI_TEST_BROKER", CELERY_BROKER_URL)
CELERY_BEAT_SCHEDULE["chatapi-sweep"]["schedule"] = float(os.environ.get("CHATAPI_TEST_SWEEP", "0.5"))
