"""User name, password and key files for a broker: from the configuration, systemd's credentials or the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from edge.errors import ConfigError
from edge.uplink import MqttSettings


def credentials(settings: MqttSettings, environ: Mapping[str, str] = os.environ) -> tuple[str | None, str | None]:
    """User name and password. Raises ConfigError.

    What the configuration names goes before systemd's credentials `mqtt-username` and `mqtt-password`
    (LoadCredential=, in $CREDENTIALS_DIRECTORY), and these before FGSTP_MQTT_USERNAME and FGSTP_MQTT_PASSWORD. A blank
    credential is none: our units hand one out where the administrator has left no file.
    """
    username, password = environ.get("FGSTP_MQTT_USERNAME"), environ.get("FGSTP_MQTT_PASSWORD")
    given = environ.get("CREDENTIALS_DIRECTORY")
    if given and (Path(given) / "mqtt-username").exists():
        username = _secret(Path(given) / "mqtt-username", "the credential mqtt-username") or username
    if given and (Path(given) / "mqtt-password").exists():
        password = _secret(Path(given) / "mqtt-password", "the credential mqtt-password") or password
    if settings.password_file is not None:
        password = _secret(located(settings.password_file, environ), "mqtt.password_file")
    username = settings.username or username
    if password is not None and username is None:
        raise ConfigError("mqtt.username: a password needs a user name; set it here or in FGSTP_MQTT_USERNAME")
    return username, password


def located(file: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """A secret that the configuration names: a bare name may be that of a credential in $CREDENTIALS_DIRECTORY."""
    given = environ.get("CREDENTIALS_DIRECTORY")
    if given and len(file.parts) == 1 and (Path(given) / file).exists():
        return Path(given) / file
    return file


def _secret(file: Path, what: str) -> str:
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what}: cannot read {file}; check path and rights") from error
