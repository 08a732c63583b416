"""A site that uses django_chatapi: for the demo, the tests, and to look at."""

from .celery import app as celery_app

__all__ = ["celery_app"]
