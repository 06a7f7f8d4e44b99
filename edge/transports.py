"""The ways out of the device as one: JSON topics over MQTT and, where that is wanted, Sparkplug B."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge.config import Config
from edge.mqtt import Publisher


class Transports:
    """Every message goes to the JSON topics and, where that is wanted, to Sparkplug."""

    def __init__(self, publisher: Publisher, sparkplug: Any | None) -> None:
        self._publisher, self._sparkplug = publisher, sparkplug

    def publish(
        self, kind: str, payload: Mapping[str, Any], camera: str = "", save: Mapping[str, str | None] | None = None
    ) -> None:
        self.publish_all([(kind, payload)], camera, save)

    def publish_all(
        self,
        messages: Sequence[tuple[str, Mapping[str, Any]]],
        camera: str = "",
        save: Mapping[str, str | None] | None = None,
    ) -> None:
        self._publisher.publish_all(messages, camera, save)
        if self._sparkplug is not None:
            for kind, said in messages:
                self._sparkplug.publish(kind, said, camera)

    def remember(self, save: Mapping[str, str | None]) -> None:
        self._publisher.remember(save)


def sparkplug_for(config: Config, cameras: Sequence[str], obey: Callable[[str, bytes], None]) -> Any | None:
    """The device as a Sparkplug edge node, where the configuration wants that; its hosts' commands become ours."""
    if config.sparkplug is None:
        return None
    from edge import sparkplug  # protobuf is loaded only where it is wanted

    def command(asked: sparkplug.Command) -> None:
        said = {"command": asked.verb, "id": f"sparkplug-{uuid.uuid4()}", "operator": "Sparkplug host"}
        duration = {} if asked.value is None else {"duration_s": asked.value}
        obey(asked.camera, json.dumps({**said, **duration}).encode())

    return sparkplug.Publisher(config.sparkplug, config.mqtt, config.device, cameras, command=command)
