"""What the API deliberately does not do, to show that the measures would see it."""

from django.http import HttpRequest, JsonResponse

from django_chatapi.models import Message
from django_chatapi.wire.envelope import history_item


def materialised_history(request: HttpRequest, token: str, client_id: str) -> JsonResponse:
    """The whole history as one list."""
    messages = Message.objects.filter(client__channel__token=token, client__client_id=client_id)
    items = [history_item(message, token=token, client_id=client_id) for message in messages.order_by("sequence")]
    return JsonResponse({"hasMore": False, "messages": items})
