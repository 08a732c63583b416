"""The site's channel layer, as far as nudges use it."""

from typing import Any

from channels.layers import InMemoryChannelLayer, get_channel_layer

#: Groups of the layer over which clients are spread. Fixed, so that nobody joins or leaves a group per poll.
SHARDS = 16


def group_of(client_pk: int) -> str:
    """The layer's group in which news of this client go round."""
    return f"chatapi.events.{client_pk % SHARDS}"


def shared_layer() -> Any:
    """The site's channel layer if it reaches other processes, else None."""
    layer = get_channel_layer()  # type: ignore[no-untyped-call]
    return None if layer is None or isinstance(layer, InMemoryChannelLayer) else layer
