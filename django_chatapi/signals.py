"""What a host may listen to.

Each is sent once its transaction is committed, in the thread that committed: queue a task for anything slow. An
exception in a receiver is logged and harms nobody else.
"""

from django.dispatch import Signal

#: A message was stored. Arguments: ``sender`` the model ``Message``; ``message`` the stored row, of any type.
message_published = Signal()

#: A webhook accepted a delivery. Arguments: ``sender`` the model ``Delivery``; ``delivery``.
delivery_accepted = Signal()

#: A delivery was given up; its messages stay NOT_SENT. Arguments: ``sender`` the model ``Delivery``; ``delivery``.
delivery_failed = Signal()

#: A channel has deliveries for its webhook. Arguments: ``sender`` the model ``Delivery``; ``channel_pk``. This
#: package queues its task with it, so a host without Celery can send them its own way.
deliveries_due = Signal()

#: A client has asynchronous requests to be answered. Arguments: ``sender`` the model ``Message``; ``client_pk``.
#: This package queues its task with it.
requests_due = Signal()
