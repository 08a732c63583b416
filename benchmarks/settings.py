"""The example project, with database connections that outlive a request, and the floor beside the API."""

from example_project.settings import *  # noqa: F403
from example_project.settings import DATABASES

DATABASES["default"]["CONN_MAX_AGE"] = None
ROOT_URLCONF = "benchmarks.urls"
