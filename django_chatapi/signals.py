"""What a host may listen to."""

from django.dispatch import Signal

#: A message was stored and its transaction is committed.
#: Arguments: ``sender`` the model ``Message``; ``message`` the stored row, of any type.
#: Receivers run in the thread that published: queue a task for anything slow. An exception in a receiver is
#: logged and harms nobody else.
message_published = Signal()
