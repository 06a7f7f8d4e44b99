"""What a configuration names, looked at from this device: is it reached, and are its secrets kept? For `doctor`."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge import capture, config, login, mqtt
from edge.capture import SourceOptions, credentials, without_credentials
from edge.config import CameraSettings, Config
from edge.errors import ConfigError, FgstpError

Verdict = Literal["ok", "note", "doubtful", "missing"]
HANDED_OUT = Path("/etc/fgstp-edge/credentials")  # where our systemd units take secrets from


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination.

    "missing" is what `run` cannot do without, "doubtful" what it can, at a price, "note" only worth knowing.
    """

    verdict: Verdict
    what: str


def examine(file: Path) -> Iterator[Finding]:
    """The configuration itself, then brokers, cameras and secrets."""
    try:
        settings = config.load(file)
    except ConfigError as error:
        yield from (Finding("missing", f"configuration: {line}") for line in error.lines)
        return
    yield Finding("ok", f"configuration {file}: valid, hash {settings.hash[:12]}")
    handed_out = os.access(HANDED_OUT, os.R_OK | os.X_OK)  # root may look; the service has them from systemd
    if handed_out:
        os.environ.setdefault("CREDENTIALS_DIRECTORY", str(HANDED_OUT))
    yield _broker(settings)
    for one in settings.cameras:
        yield _camera(one)
    for secret in sorted({*_secrets(settings), *(HANDED_OUT.glob("*") if handed_out else ())}):
        yield _kept(secret)


def _broker(settings: Config) -> Finding:
    """Login included; nothing is published."""
    try:
        own = f"fgstp/{settings.device}/status"
        listener = mqtt.subscribe(settings.mqtt, f"fgstp-doctor-{settings.device}", [own], lambda *_: None)
        listener.disconnect()
        listener.loop_stop()
    except FgstpError as error:
        return Finding("doubtful", f"broker: {error}")
    return Finding("ok", f"broker {settings.mqtt.brokers[0]}: reached")


def _camera(settings: CameraSettings) -> Finding:
    """One frame says it all."""
    shown = f"camera {settings.name}"
    try:
        known = credentials.find(settings.username, settings.password_file)
        options = SourceOptions(settings.fps, settings.shape, pixel_format=settings.pixel_format, credentials=known)
        with capture.open(settings.source, options) as source:
            image = next(iter(source)).image
    except StopIteration:
        return Finding("doubtful", f"{shown}: {without_credentials(settings.source)} has no frame")
    except FgstpError as error:
        return Finding("doubtful", f"{shown}: {without_credentials(str(error))}")
    height, width = image.shape[:2]
    return Finding("ok", f"{shown}: {width}x{height}, {image.dtype}")


def _secrets(settings: Config) -> Iterator[Path]:
    """The files that hold secrets, as far as the configuration names them by a path."""
    tls = settings.mqtt.tls
    named = [settings.mqtt.password_file, tls.key_file if tls else None]
    named += [one.password_file for one in settings.cameras]
    for file in named:
        if file is not None and (located := login.located(file)).is_absolute():
            yield located


def _kept(file: Path) -> Finding:
    try:
        mode = file.stat().st_mode
    except OSError as error:
        return Finding("doubtful", f"secret {file}: {error.strerror}")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Finding("doubtful", f"secret {file}: others than its owner may use it; chmod 0600 {file}")
    return Finding("ok", f"secret {file}: for its owner alone")
