"""Faults of broker, link, process, disk, clock and cameras, of the whole device: no leak is lost, none stays open.

Each test here does one fault to one and the same device (`tests.faults.field`), whose cameras show leaks by a script,
and then compares all that was heard since the start with what was shown. `./dev test` runs a quick form of each, `./dev
test-faults` the long one (FGSTP_FAULTS=long). Both print how many faults and messages there were.

Covered elsewhere, of the parts alone:
  disk full, read-only, locked, absent, damaged    tests/edge/test_outbox_disk.py
  power cut at every place of the write-ahead log  tests/edge/test_outbox_crash.py
  a day without a broker                           tests/faults/test_day.py, tests/edge/test_outbox.py
  half-open link, brokers in order, wrong CA, ACL  tests/edge/test_link.py
  broker restarted, refusals, last will            tests/edge/test_mqtt.py
  kills between an action and its answer           tests/edge/test_commands_over_mqtt.py
  kills at random moments, with a recording        tests/edge/test_service.py
  a real RTSP server killed, stalled, restarted    tests/edge/test_rtsp.py
  frozen pictures with and without a codec         tests/edge/test_quality.py
  one faulty camera among others                   tests/edge/test_service.py
  the clock's jump and the alarm's delays          tests/edge/test_downtime.py, tests/edge/test_alarm_random.py
  Sparkplug: loss, refusal, replay, proof          tests/edge/test_sparkplug_faults.py
"""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from collections.abc import Iterator

import pytest

from edge.broker import Broker
from tests.edge.test_link import Authority, until
from tests.faults import wal
from tests.faults.field import ALL_RIGHTS, KEEPALIVE_S, NO_RIGHTS, Field

LONG = os.environ.get("FGSTP_FAULTS") == "long"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory, a_broker: Broker, tally: list[str]) -> Iterator[Field]:
    """One device for all of them: what a fault leaves behind shows under the next."""
    with Field(tmp_path_factory.mktemp("field"), a_broker) as made:
        yield made
        tally.append(made.count())


def test_without_a_fault_every_leak_is_told(field):
    field.outlast(1)
    field.check()


def test_a_broker_that_is_killed_and_restarted(field):
    for _ in range(5 if LONG else 1):
        with field.fault():
            field.broker.kill()
            field.stop_broker()
            field.outlast(1)
            field.start_broker()
    field.check()


def test_a_broker_that_is_stopped_and_goes_on(field):
    with field.fault():
        field.broker.send_signal(signal.SIGSTOP)
        time.sleep(120 if LONG else 2 * KEEPALIVE_S)
        field.broker.send_signal(signal.SIGCONT)
    field.check()


def test_a_link_that_is_cut_in_the_middle_of_a_packet(field):
    for _ in range(20 if LONG else 1):
        with field.fault():
            field.cable.cutting = True
            until(lambda: not field.cable.cutting)
        field.outlast(1)
    field.check()


def test_a_link_that_swallows_everything(field):
    with field.fault():
        lost = field.soon("status", reason="connection_lost")
        field.cable.blackhole = True
        time.sleep(10 if LONG else 2 * KEEPALIVE_S)
        field.cable.blackhole = False
    until(lost)
    field.check()


def test_rights_that_are_revoked_for_a_while(field):
    for _ in range(5 if LONG else 1):
        with field.fault():
            field.grant(NO_RIGHTS)
            field.broker.send_signal(signal.SIGHUP)
            field.outlast(1)
            assert field.violations()
            field.grant(ALL_RIGHTS)
            field.broker.send_signal(signal.SIGHUP)
    field.check()


def test_kills_at_random_moments(field):
    chance = random.Random(4)
    for number in range(50 if LONG else 4):
        with field.fault():
            if number % 2:  # else a device that is killed all the time would hardly ever have a leak to lose
                field.outlast(1)
            time.sleep(chance.uniform(0.0, 2.0))
            field.kill_device()
            field.start_device()
    field.check()


def test_a_kill_while_the_broker_is_away(field):
    with field.fault():
        field.broker.kill()
        field.stop_broker()
        field.outlast(1)
        field.kill_device()
        field.start_device()
        field.outlast(1)
        field.start_broker()
    field.check()


def test_a_kill_when_what_was_sent_is_lost_on_the_way(field):
    for _ in range(10 if LONG else 1):
        with field.fault():
            field.cable.blackhole = True
            field.outlast(1)
            until(lambda: all(camera.shown >= 25 for camera in field.cameras))  # the alarm is out, and never arrives
            field.kill_device()
            field.cable.blackhole = False
            field.start_device()
            field.outlast(1)
    field.check()


def test_a_power_cut_that_takes_what_was_not_synced(field, tmp_path, tally):
    """What a disk may forget is the last write, as long as it has not returned: then nothing of it has been sent. So
    the log is cut before the last write, unless that was heard of, and at a random byte of what follows."""
    chance = random.Random(7)
    forgotten = 0
    for number in range(20 if LONG else 2):
        with field.fault():
            time.sleep(chance.uniform(0.5, 2.0))
            gone = field.soon("status", reason="connection_lost")
            field.kill_device()
            until(gone)  # said by the broker once it has read all that the device ever sent
            scratch = tmp_path / str(number)
            forgotten += wal.forget_the_last_write(field.outbox, scratch, lambda body: heard(field, body), chance)
            field.start_device()
    field.check()
    tally.append(f"{forgotten} power cuts took a write")


def heard(field: Field, body: dict[str, object]) -> bool:
    return any(said == body for _, said in list(field.recorder.heard))


def test_a_disk_without_room(field):
    for _ in range(5 if LONG else 1):
        with field.fault():
            limits = resource.prlimit(field.device.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            until(lambda: field.heard("health")[-1]["outbox"]["on_disk"] is False)
            field.outlast(1)
            field.check()  # alarms go out live
            resource.prlimit(field.device.pid, resource.RLIMIT_FSIZE, limits)
            until(lambda: field.heard("health")[-1]["outbox"]["on_disk"])
    field.kill_device()  # and what is on the disk by now is enough to go on from
    field.start_device()
    field.check()


@pytest.mark.parametrize("jump", [signal.SIGUSR1, signal.SIGUSR2], ids=["an hour on", "an hour back"])
def test_a_clock_that_is_set(field, jump):
    with field.fault():
        field.outlast(1)
        field.device.send_signal(jump)
        field.outlast(1)
    with field.fault():  # set right by a restart, which finds a saved state of another time
        field.kill_device()
        field.start_device()
    field.check()


@pytest.mark.parametrize("trouble", ["gone", "stalled", "frozen"])
def test_a_camera_in_trouble(field, trouble):
    north = field.cameras[0]
    for _ in range(10 if LONG else 1):
        with field.fault():
            until(field.soon("event", camera="north", type="start"))
            bad = field.soon("alarm", camera="north", quality="bad", active=True)  # the leak stands while none looks
            setattr(north, trouble, True)
            until(bad)
            until(field.soon("event", camera="south"))  # the other one is watched all the while
            setattr(north, trouble, False)
    field.check()


def test_a_broker_with_a_certificate_of_somebody_else(a_broker, tmp_path, tally):
    site, stranger = Authority(tmp_path / "site"), Authority(tmp_path / "stranger")
    with Field(tmp_path / "field", a_broker, site) as field:
        with field.fault():
            field.stop_broker()
            field.start_broker(stranger)
            until(lambda: "is not the one we trust" in (field.folder / "device.log").read_text())
            field.outlast(1)
            assert field.violations(), "a stranger was told"
            field.stop_broker()
            field.start_broker()
        field.check()
        tally.append(field.count())
