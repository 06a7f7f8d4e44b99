"""The two Sparkplug stories, played once for each protocol and read by the tests of every clause."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from edge.broker import Broker, free_port, serve
from edge.sparkplug import session
from tests.edge.sparkplug_story import Story, hosted, whole

Played = Callable[[str], tuple[Story, Story]]


@pytest.fixture(scope="session")
def played(a_broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """For a protocol: the story of one broker and no primary host, and that of two brokers and a primary host."""

    @functools.cache
    def play(protocol: str) -> tuple[Story, Story]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("STATE_DIRECTORY", str(tmp_path_factory.mktemp("state")))
            patch.setattr(session, "RETRY_S", (0.05, 0.1))
            port = free_port()
            with serve(a_broker, port):
                seen = whole(a_broker.settings(port).model_copy(update={"protocol": protocol}))
            return seen, hosted(a_broker, protocol)

    return play


@pytest.fixture(params=["5", "3.1.1"])
def protocol(request: pytest.FixtureRequest) -> str:
    """The version of MQTT."""
    return str(request.param)


@pytest.fixture
def seen(played: Played, protocol: str) -> Story:
    """The story of one broker and no primary host."""
    return played(protocol)[0]


@pytest.fixture
def with_host(played: Played, protocol: str) -> Story:
    """The story of two brokers and a primary host."""
    return played(protocol)[1]
