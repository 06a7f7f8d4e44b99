"""The count of faults, told at the end of the run."""

from __future__ import annotations

import pytest

_TALLY = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TALLY] = []


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> list[str]:
    """Lines that are printed after the tests."""
    return pytestconfig.stash[_TALLY]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[_TALLY]:
        terminalreporter.write_line(f"tests/faults: {line}")
