"""Under systemd: priorities in the journal, and starts that come no faster than they help."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from edge.supervised import FREE, LONGEST_S, WINDOW_S, JournalFormatter, Starts, is_journal


def test_each_line_of_a_traceback_carries_the_priority():
    formatter = JournalFormatter("%(message)s")
    lines = {}
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        lines[level] = formatter.format(logging.LogRecord("x", level, "", 0, "one\ntwo", None, None)).splitlines()
    assert [first[:3] for first, _ in lines.values()] == ["<7>", "<6>", "<4>", "<3>", "<3>"]
    assert all(first[:3] == second[:3] for first, second in lines.values())


@pytest.mark.parametrize("journal", [True, False])
def test_a_log_in_the_journal_has_no_time_of_its_own(journal):
    """The descriptor is compared, since the variable is inherited by whoever redirects elsewhere."""
    talk = "import logging, os; from edge import supervised; supervised.start_log(); logging.getLogger('x').error('oh')"
    if journal:
        talk = "import os; s = os.fstat(2); os.environ['JOURNAL_STREAM'] = f'{s.st_dev}:{s.st_ino}'; " + talk
    said = subprocess.run([sys.executable, "-c", talk], capture_output=True, text=True, check=True).stderr
    assert said.startswith("<3>ERROR x: oh") if journal else said.endswith(" ERROR x: oh\n")


def test_another_descriptor_is_not_the_journal(tmp_path):
    with (tmp_path / "log").open("w") as file:
        assert not is_journal(file.fileno(), {"JOURNAL_STREAM": "1:2"})
        assert not is_journal(file.fileno(), {})


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_first_starts_are_free_and_the_later_ones_wait_ever_longer(tmp_path):
    clock = Clock()
    waits = []
    for _ in range(FREE + 8):
        waits.append(Starts({"RUNTIME_DIRECTORY": str(tmp_path)}, clock).begin())
        clock.now += 1.0
    assert waits == [0.0] * FREE + [2.0, 4.0, 8.0, 16.0, 32.0, LONGEST_S, LONGEST_S, LONGEST_S]
    clock.now += WINDOW_S
    assert Starts({"RUNTIME_DIRECTORY": str(tmp_path)}, clock).begin() == 0.0


def test_whoever_was_stopped_on_purpose_starts_afresh(tmp_path):
    clock = Clock()
    for _ in range(2 * FREE):
        Starts({"RUNTIME_DIRECTORY": str(tmp_path)}, clock).begin()
    starts = Starts({"RUNTIME_DIRECTORY": str(tmp_path)}, clock)
    assert starts.begin() > 0
    starts.over()
    assert starts.begin() == 0


@pytest.mark.parametrize("content", ["nonsense", "9e99 1e300", ""])
def test_a_damaged_note_and_a_clock_that_was_set_back_delay_nobody(tmp_path, content):
    (tmp_path / "starts").write_text(content)
    assert Starts({"RUNTIME_DIRECTORY": str(tmp_path)}, Clock()).begin() == 0


def test_started_by_hand_nothing_is_noted_and_nothing_waits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    starts = Starts({}, Clock())
    assert {starts.begin() for _ in range(3 * FREE)} == {0.0}
    starts.over()
    assert not os.listdir(tmp_path)
