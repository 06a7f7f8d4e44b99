"""Everything that may go wrong on purpose.

FgstpError
├── ConfigError      exit 2   a configuration, command-line value or camera file is wrong: a restart will not help
├── SourceError      exit 3   footage or a camera cannot be read
│   └── BrokenSource          it broke in the middle: what came before is kept
├── ModelError       exit 4   the model file or its ModelSpec is damaged, incomplete or not ours
├── TransportError   exit 5   the broker cannot be reached or refuses us
├── StorageError     exit 6   the disk is full, read-only or its content is corrupt
└── SelfTestError    exit 7   the golden clip does not give the golden masks on this device

Each message is one line: what is wrong, where, and what to do about it. A configuration may have several.
"""

from __future__ import annotations

from typing import ClassVar


class FgstpError(Exception):
    """Base of every error that the command line shows as one line; anything else is a bug and shows its traceback."""

    exit_code: ClassVar[int] = 1

    @property
    def lines(self) -> tuple[str, ...]:
        """What the command line prints, one mistake a line."""
        return (" ".join(str(self).split()),)


class ConfigError(FgstpError):
    """Values that a person wrote are wrong: one message for each of them."""

    exit_code = 2

    def __init__(self, *mistakes: str) -> None:
        super().__init__("\n".join(mistakes))
        self._mistakes = mistakes

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(" ".join(mistake.split()) for mistake in self._mistakes)


class SourceError(FgstpError):
    """Footage or a camera cannot be opened or decoded."""

    exit_code = 3


class BrokenSource(SourceError):
    """A source that gave frames and then broke; the frames before stay valid."""


class ModelError(FgstpError):
    """A model file or its ModelSpec is damaged, incomplete or does not match."""

    exit_code = 4


class TransportError(FgstpError):
    """The broker cannot be reached, or refused us for good."""

    exit_code = 5


class StorageError(FgstpError):
    """The disk is full, read-only, or holds something that is not ours."""

    exit_code = 6


class SelfTestError(FgstpError):
    """This device computes other masks than the golden ones."""

    exit_code = 7
