"""What deliveries are compared with: a bare Celery task that makes one POST and remembers nothing."""

from celery import shared_task

from django_chatapi.webhooks import transport


@shared_task(ignore_result=True)
def post(url: str, body: str, headers: dict[str, str]) -> None:
    transport.post(url, body.encode(), headers)
