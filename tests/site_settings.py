"""The example project as a site of the tests: other bots, a sweep every half second.

``CHATAPI_TEST_SETTINGS`` in the environment holds further CHATAPI settings as JSON.
"""

import json
import os

from example_project.settings import *  # noqa: F403
from example_project.settings import CELERY_BEAT_SCHEDULE

CHATAPI = {
    "BOTS": {"gated": "tests.bots.gated"},
    **json.loads(os.environ.get("CHATAPI_TEST_SETTINGS", "{}")),
}
CELERY_BEAT_SCHEDULE["chatapi-answer-left-requests"]["schedule"] = 0.5
