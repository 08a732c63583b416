from collections.abc import Iterator

import pytest

from tests.servers import web_server


@pytest.fixture(scope="module", params=["asgi", "wsgi"])
def server(request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: object) -> Iterator[str]:
    """The address of a server of the example project; one for all tests of a module."""
    with web_server(request.param) as (address, _running):
        yield address
