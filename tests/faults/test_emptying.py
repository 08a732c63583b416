"""The tests' own database: it is emptied after a test, while a server may still be at work on it."""

import threading

import pytest
from django.db import connection, connections, transaction

from django_chatapi.models import Connection, Message
from tests.servers import wait_until

LOCK_FIRST, LOCK_SECOND = (f'LOCK TABLE "{model._meta.db_table}"' for model in (Connection, Message))
WAITING = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = %s::regclass"


def execute(sql, *values):
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.description and cursor.fetchall()


@pytest.mark.django_db(transaction=True)
def test_emptying_the_database_survives_a_deadlock_with_a_server():
    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL locks table after table to empty them")
    served = []

    def serve():
        """Use the second table, then the first one, which is locked by then."""
        try:
            with transaction.atomic():
                execute("SET LOCAL deadlock_timeout = '1min'")  # so the other one loses
                execute(LOCK_SECOND)
                has_second.set()
                wait_until(lambda: execute(WAITING, Message._meta.db_table), what="the other one's wait")
                execute(LOCK_FIRST)
                served.append(True)
        finally:
            connections.close_all()

    has_second = threading.Event()
    server = threading.Thread(target=serve)
    server.start()
    assert has_second.wait(20)

    execute("SET deadlock_timeout = '3s'")  # the server is in the circle before this one looks for it
    connection.ops.execute_sql_flush([LOCK_FIRST, LOCK_SECOND])
    execute("RESET deadlock_timeout")
    server.join(20)

    assert served
