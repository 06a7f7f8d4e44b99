"""A configuration that is read again while the device runs (SIGHUP): what can be applied now, what needs a restart.

Applied are the alarm's settings, the zones of the cameras that run, and the two rates of telling. Everything else is
built into connections, files and models that are open, so it stays as it is. Cameras are told apart by their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge import config
from edge.config import Config

Key = tuple[str, ...]  # such as ("cameras", "north", "zones")


@dataclass(frozen=True, slots=True)
class Difference:
    """What a new configuration means for a device that runs by an old one."""

    config: Config  # to go on with: the old one with what can be applied of the new one
    applied: tuple[str, ...]  # keys whose change is in it; of a camera "cameras.NAME.…"
    needs_restart: tuple[str, ...]  # keys whose change is not


class Reread:
    """The configuration's file, and whether somebody asked to read it again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.asked = False

    def ask(self) -> None:
        """From a signal's handler, which may interrupt anything: this takes no lock."""
        self.asked = True

    def read(self) -> Config:
        """What the file says now. Raises ConfigError with every mistake."""
        self.asked = False
        return config.load(self._path)


def difference(old: Config, new: Config) -> Difference:
    """Compare two configurations of one device."""
    changed = tuple(_changed(_plain(old), _plain(new), ()))
    return Difference(
        config=_merged(old, new),
        applied=tuple(".".join(key) for key in changed if _applicable(key)),
        needs_restart=tuple(".".join(key) for key in changed if not _applicable(key)),
    )


def without_value(mistake: str) -> str:
    """A mistake of the configuration as anyone on the broker may read it: what was written there may be a secret."""
    return mistake.partition(" (got ")[0]


def _applicable(key: Key) -> bool:
    if key[0] == "cameras":
        return key[2:] == ("zones",)
    return key[0] == "alarm" or key in (("mqtt", "summary_every_s"), ("health", "every_s"))


def _merged(old: Config, new: Config) -> Config:
    """`old` with what `_applicable` allows of `new`."""
    zones = {camera.name: camera.zones for camera in new.cameras}
    cameras = (one.model_copy(update={"zones": zones.get(one.name, one.zones)}) for one in old.cameras)
    return old.model_copy(
        update={
            "alarm": new.alarm,
            "cameras": tuple(cameras),
            "mqtt": old.mqtt.model_copy(update={"summary_every_s": new.mqtt.summary_every_s}),
            "health": old.health.model_copy(update={"every_s": new.health.every_s}),
        }
    )


def _plain(settings: Config) -> dict[str, Any]:
    """As the configuration's hash sees it (a zone's alarm is what was written there, not what that comes to), with
    the cameras by name."""
    made = settings.model_dump(mode="json")
    return {**made, "cameras": {camera["name"]: camera for camera in made["cameras"]}}


def _changed(old: Any, new: Any, key: Key) -> Iterator[Key]:
    """The keys that differ, as deep as both have keys."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        if old != new:
            yield key
        return
    if [name for name in old if name in new] != [name for name in new if name in old]:
        yield key  # the order of the cameras: it numbers Sparkplug's aliases
    for name in dict.fromkeys((*old, *new)):
        if name in old and name in new:
            yield from _changed(old[name], new[name], (*key, name))
        else:
            yield (*key, name)
