"""What tests share: footage, a real broker, messages checked against their schemas; and no silent skips in CI."""

from __future__ import annotations

import json
import os
import queue
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge import mqtt
from edge.broker import Broker, find, free_port, serve
from edge.payload import SCHEMAS
from edge.uplink import MqttSettings

EXPECTED_SKIPS = ("no NVIDIA GPU",)  # how the reasons begin that even CI accepts: what its machines cannot have


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, None]:
    """In CI footage and broker are there: a skip there hides a fault, so it fails."""
    outcome = yield
    _refuse_skip(outcome.get_result())


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, None]:
    """The same for a whole file that skips itself."""
    outcome = yield
    _refuse_skip(outcome.get_result())


def _refuse_skip(report: Any) -> None:
    if os.environ.get("CI") != "true" or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = (
        report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else str(report.longrepr)
    )
    if not reason.startswith(EXPECTED_SKIPS):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not expect: {reason}"


@pytest.fixture(scope="session")
def footage() -> Path:
    """The folder of real footage."""
    folder = Path(os.environ.get("FGSTP_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no footage at {folder}; set FGSTP_DATA")
    return folder


@pytest.fixture(autouse=True)
def state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test finds another one's outbox, nor this machine's own."""
    folder = tmp_path / "state"
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))
    return folder


@pytest.fixture(scope="session")
def a_broker() -> Broker:
    """The broker program of this machine."""
    found = find()
    if found is None or found.name != "mosquitto":
        pytest.skip("mosquitto is not installed")
    return found


@pytest.fixture
def broker(a_broker: Broker) -> Iterator[MqttSettings]:
    """A real broker on a port of its own; gives how to reach it."""
    port = free_port()
    with serve(a_broker, port):
        yield a_broker.settings(port)


def validate(topic: str, message: bytes) -> dict[str, Any]:
    """Decode one message as strict JSON and check it against the schema of its topic."""
    kind = topic.rsplit("/", 1)[-1]
    return check(kind, message.decode())


def check(kind: str, text: str) -> dict[str, Any]:
    """Decode one line of JSON and check it against a schema."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{kind}: {constant} is not JSON")

    said: dict[str, Any] = json.loads(text, parse_constant=refuse)
    schema = json.loads((SCHEMAS / f"{kind}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(said)
    return said


class Ear:
    """A subscriber that keeps everything it hears, each message checked against its schema as it is read."""

    def __init__(self, settings: MqttSettings) -> None:
        self._arrived: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self._client = mqtt.subscribe(settings, "ear", ["fgstp/#"], lambda *message: self._arrived.put(message))

    def until(self, enough: Callable[[list[tuple[str, dict[str, Any]]]], Any], seconds: float = 20.0) -> Any:
        """Listen until `enough(heard)` is true and give what it gave; fails after `seconds`."""
        deadline = time.monotonic() + seconds
        while not (found := enough(self.heard)):
            try:
                topic, message = self._arrived.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"not heard within {seconds} s; heard: {[topic for topic, _ in self.heard]}")
            self.heard.append((topic, validate(topic, message)))
        return found

    def message(self, kind: str, /, seconds: float = 20.0, **fields: Any) -> dict[str, Any]:
        """The first message of a kind with these fields."""

        def wanted(heard: list[tuple[str, dict[str, Any]]]) -> Any:
            return [s for t, s in heard if t.endswith("/" + kind) and all(s[k] == v for k, v in fields.items())]

        return dict(self.until(wanted, seconds)[0])

    def close(self) -> None:
        """Stop listening."""
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def ear(broker: MqttSettings) -> Iterator[Ear]:
    """A subscriber to everything on the broker."""
    listening = Ear(broker)
    yield listening
    listening.close()
