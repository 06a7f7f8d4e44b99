"""User name and password of a camera. Nothing here ever shows a password: not in `repr`, not in an error."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from edge.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Credentials:
    """A login."""

    username: str = field(repr=False)
    password: str = field(repr=False)

    def within(self, url: str) -> str:
        """The URL with this login in it, in place of any that stands there."""
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        login = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}"
        return urlunsplit(parts._replace(netloc=f"{login}@{host}"))


def find(
    username: str | None, password_file: Path | None, environ: Mapping[str, str] = os.environ
) -> Credentials | None:
    """What the configuration names, else FGSTP_CAMERA_USERNAME and FGSTP_CAMERA_PASSWORD, else None.

    A relative path is looked for in $CREDENTIALS_DIRECTORY (systemd) where there is one. Raises ConfigError.
    """
    username = username or environ.get("FGSTP_CAMERA_USERNAME")
    password = environ.get("FGSTP_CAMERA_PASSWORD")
    if password_file is not None:
        file = Path(environ.get("CREDENTIALS_DIRECTORY", "")) / password_file  # an absolute path stays what it is
        try:
            password = file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cameras.password_file: cannot read {file}; check path and rights") from error
    if password is not None and username is None:
        raise ConfigError("cameras.username: a password needs a user name; set it, or FGSTP_CAMERA_USERNAME")
    return None if username is None else Credentials(username, password or "")
