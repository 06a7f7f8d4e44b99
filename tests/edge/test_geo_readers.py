"""Poses are read from what others have written: MAVLink over UDP and from a log, ST 0601 from klvdata."""

from __future__ import annotations

import contextlib
import math
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from pymavlink import mavutil

from edge.errors import ConfigError, SourceError
from edge.geo import klv, mavlink, transport
from edge.geo.pose import CAMERA_IN_BODY, euler
from edge.geo.track import Fix, Pointing, Track
from edge.vantage import PoseErrors
from tests.edge import klv_streams
from tests.edge.flights import UTC, Flights
from tests.edge.flights import mavlink as dialect

FLOWN = {
    "heading": 78.0,
    "pitch": 4.0,
    "roll": -7.0,
    "latitude": 47.3769,
    "longitude": -8.5417,
    "altitude": 512.0,
    "hfov": 14.0,
    "azimuth": 310.0,
    "elevation": -38.0,
    "turn": 0.0,
    "ground": 430.0,
}


def empty() -> Track:
    return Track((0.0, 0.0, 0.0), 1.5)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_pictures_zoom_and_ground_come_from_the_log(tmp_path):
    track = empty()
    intake = mavlink.Intake(track)
    said = [
        dialect.MAVLink_global_position_int_message(1000, 473769000, 85417000, 500_000, 60_000, 0, 0, 0, 0),
        dialect.MAVLink_attitude_message(1010, 0, 0, 0, 0, 0, 0),
        dialect.MAVLink_camera_fov_status_message(1020, 0, 0, 0, 0, 0, 0, [1, 0, 0, 0], 31.5, 24.0),
        dialect.MAVLink_camera_image_captured_message(1030, 0, 1, 0, 0, 0, 0, [1, 0, 0, 0], 0, 1, b""),
        dialect.MAVLink_camera_image_captured_message(1040, 0, 1, 0, 0, 0, 0, [1, 0, 0, 0], 0, 0, b""),  # it failed
        dialect.MAVLink_gimbal_device_attitude_status_message(0, 0, 1050, 64, [math.nan] * 4, 0, 0, 0, 0, 0, 0, 0),
        dialect.MAVLink_global_position_int_message(1200, 473769000, 85417000, 500_000, 60_000, 0, 0, 0, 0),
        dialect.MAVLink_attitude_message(1210, 0, 0, 0, 0, 0, 0),
    ]
    for message in said:
        message._header.srcSystem = message._header.srcComponent = 1
        intake.take(message, UTC + message.time_boot_ms / 1000)
    assert track.shots == pytest.approx([UTC + 1.03])
    seen = track.at(UTC + 1.1)
    assert seen is not None
    assert (seen.ground, seen.hfov) == (440.0, 31.5)
    assert track.faults == 1


def test_another_vehicle_on_the_same_link_is_not_ours():
    track = empty()
    intake = mavlink.Intake(track)
    for system, latitude in ((7, 473769000), (9, -100_000_000)):
        for boot in (1000, 1200):
            message = dialect.MAVLink_global_position_int_message(boot, latitude, 85417000, 0, 0, 0, 0, 0, 0)
            message._header.srcSystem, message._header.srcComponent = system, 1
            intake.take(message, UTC + boot / 1000)
    assert [fix.latitude for fix in track._fixes.values] == [47.3769, 47.3769]


def test_live_mavlink_is_heard_over_udp():
    port, track, stop = free_port(), Track((0.0, 0.0, 0.0), 1.5, 6000, 0.5), threading.Event()
    hearing = threading.Thread(target=mavlink.listen, args=(f"udpin:127.0.0.1:{port}", track, stop), daemon=True)
    hearing.start()
    drone = mavutil.mavlink_connection(f"udpout:127.0.0.1:{port}", dialect="ardupilotmega", source_system=1)
    boot, deadline = 0, time.monotonic() + 60
    try:
        while (seen := track.at(time.monotonic())) is None and time.monotonic() < deadline:
            drone.mav.global_position_int_send(boot, 473769000, 85417000, 500_000, 60_000, 0, 0, 0, 0)
            drone.mav.attitude_send(boot, 0.0, -0.5, 1.0, 0, 0, 0)
            boot += 50
            stop.wait(0.05)
    finally:
        stop.set()
        hearing.join(30)
        drone.close()
    assert seen is not None
    assert (seen.latitude, seen.altitude, seen.ground) == (47.3769, 500.0, 440.0)
    assert not hearing.is_alive()


def test_a_log_that_a_ground_station_recorded_is_read(tmp_path):
    """pymavlink's own recorder writes what it hears over TCP, messages that are none of ours among it."""
    log, pause = tmp_path / "flight.tlog", threading.Event()
    station = mavutil.mavlink_connection("tcpin:127.0.0.1:0", dialect="ardupilotmega")
    port = station.listen.getsockname()[1]
    station.setup_logfile(str(log))
    drone = mavutil.mavlink_connection(f"tcp:127.0.0.1:{port}", dialect="ardupilotmega", source_system=1)
    began, booted = time.time(), time.monotonic() - 30.0
    looks = [math.cos(-0.25), 0.0, math.sin(-0.25), 0.0]  # half a radian down
    try:
        for n in range(20):
            boot = round(1000 * (time.monotonic() - booted))
            drone.mav.heartbeat_send(2, 3, 0, 0, 0)
            drone.mav.vfr_hud_send(12.0, 12.0, 90, 40, 60.0, 0.0)
            drone.mav.global_position_int_send(boot, 473769000 + 10 * n, 85417000, 500_000, 60_000, 0, 0, 0, 0)
            drone.mav.gimbal_device_attitude_status_send(0, 0, boot, 12 | 64, looks, 0, 0, 0, 0)
            drone.mav.attitude_send(boot, 0.0, 0.1, 1.0, 0, 0, 0)
            assert station.recv_match(type="ATTITUDE", blocking=True, timeout=30) is not None
            pause.wait(0.01)
    finally:
        drone.close()
        station.close()
        station.logfile.close()
    track = Track((0.0, 0.0, 0.0), 60.0)
    mavlink.read(log, track)
    assert track.faults == 0
    assert began - 0.1 <= track.begins <= time.time()
    fixes = track._fixes.values
    assert [fix.latitude for fix in fixes] == pytest.approx([47.3769 + 1e-6 * n for n in range(20)], abs=1e-9)
    seen = track.at(began + (time.time() - began) / 2)
    assert seen is not None
    assert (seen.altitude, seen.ground) == (500.0, 440.0)
    assert seen.rotation == pytest.approx(euler(0.0, -0.5, 0.0) @ CAMERA_IN_BODY, abs=1e-6)


def test_an_independent_encoders_set_is_read_to_its_last_bit():
    utc, told = klv.parse(klv_streams.packet(UTC + 0.25, **FLOWN))
    assert utc == pytest.approx(UTC + 0.25, abs=1e-6)
    steps = {"altitude": 0.31, "ground": 0.31, "hfov": 0.003, "heading": 0.006, "pitch": 0.001, "roll": 0.002}
    for name, value in FLOWN.items():
        assert told[name] == pytest.approx(value, abs=steps.get(name, 1e-6) / 2), name


def test_heights_above_the_ellipsoid_stand_in_for_altitudes_but_are_not_mixed_with_them():
    track, place = empty(), {"latitude": 47.0, "longitude": 8.0, "height": 560.0, "ground_height": 470.0}
    klv.take(track, 0.0, place)
    klv.take(track, 1.0, {**place, "altitude": 512.0})
    assert [(fix.altitude, fix.ground) for fix in track._fixes.values] == [(560.0, 470.0), (512.0, None)]


def test_a_damaged_set_is_refused():
    whole = klv_streams.packet(UTC, **FLOWN)
    assert klv.parse(whole) is not None
    for at in range(17, len(whole)):
        bent = bytearray(whole)
        bent[at] ^= 0x10
        assert klv.parse(bytes(bent)) is None, at
    assert all(klv.parse(whole[:end]) is None for end in range(16, len(whole)))


def test_sets_are_found_among_other_bytes():
    one, other = klv_streams.packet(UTC, **FLOWN), klv_streams.packet(UTC + 1, **FLOWN)
    assert list(klv.packets(b"\0\0\x0f\0\x9f" + one + b"rest" + other)) == [one, other]
    assert list(klv.packets(one[:-3])) == []


def test_a_value_out_of_range_is_none():
    mapped = klv.Mapped(-90, 90, 4, signed=True)
    assert mapped.value(bytes.fromhex("80000000")) is None
    assert mapped.value(bytes.fromhex("7fffffff")) == 90.0
    assert mapped.value(b"\0\0") is None


@pytest.mark.parametrize("timed", [True, False], ids=["synchronous", "without presentation times"])
def test_a_transport_stream_gives_poses_at_the_frames_times(tmp_path, timed):
    pictures = [np.full((96, 128), 60, np.uint8)] * 50
    packets = [(n / 5, klv_streams.packet(UTC + n / 5, **{**FLOWN, "latitude": 47.0 + n * 1e-4})) for n in range(10)]
    klv_streams.write(tmp_path / "flight.ts", pictures, packets, timed=timed)
    track = empty()
    transport.read(tmp_path / "flight.ts", track)
    seen = track.at(1.1)
    assert seen is not None
    assert seen.latitude == pytest.approx(47.00055, abs=2e-6)
    assert (seen.hfov, seen.ground) == (pytest.approx(14.0, abs=0.01), pytest.approx(430.0, abs=0.2))
    platform, sensor = euler(*np.radians([78.0, 4.0, -7.0])), euler(*np.radians([310.0, -38.0, 0.0]))
    assert seen.rotation == pytest.approx(platform @ sensor @ CAMERA_IN_BODY, abs=1e-3)
    assert seen.velocity[0] == pytest.approx(1e-4 * 5 * 111_195, rel=0.01)


def test_what_holds_no_poses_is_named(tmp_path):
    (tmp_path / "text.tlog").write_text("no log" * 100)
    with pytest.raises(SourceError, match=r"text\.tlog: no position"):
        mavlink.read(tmp_path / "text.tlog", empty())
    with pytest.raises(SourceError, match=r"gone\.tlog: no such log; see geo\.poses"):
        mavlink.read(tmp_path / "gone.tlog", empty())
    (tmp_path / "text.ts").write_text("no stream" * 1000)
    with pytest.raises(SourceError, match=r"text\.ts: not a transport stream"):
        transport.read(tmp_path / "text.ts", empty())
    klv_streams.write(tmp_path / "plain.ts", [np.full((96, 128), 60, np.uint8)] * 5, [])
    with pytest.raises(SourceError, match=r"plain\.ts: no sensor position"):
        transport.read(tmp_path / "plain.ts", empty())


@pytest.mark.parametrize(("name", "ask"), [("pymavlink", mavlink.library), ("av", transport.library)])
def test_a_missing_library_is_said_in_one_line_with_what_to_install(monkeypatch, name, ask):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r"need \w+: pip install 'fgstp-edge\[geo\]'"):
        ask()


def test_a_track_guesses_nothing_across_a_gap_nor_before_its_beginning():
    track = Track((0.0, 0.0, 0.0), 1.5, ahead=0.5)
    for at in (10.0, 11.0, 14.0, 15.0):
        track.fix(at, Fix(47.0 + at / 1000, 8.0, 500.0, None))
        track.attitude(at, np.eye(3))
    assert track.at(9.9) is None
    assert track.at(10.5).latitude == pytest.approx(47.0105)
    assert track.at(12.0) is None
    assert track.at(15.4).latitude == pytest.approx(47.0154)
    assert track.at(15.6) is None


def test_a_gimbal_in_the_vehicles_frame_turns_with_the_vehicle():
    track = empty()
    for at, heading in ((0.0, 80.0), (1.0, 100.0)):
        track.fix(at, Fix(47.0, 8.0, 500.0, None))
        track.attitude(at, euler(math.radians(heading), 0.2, 0.1))  # its pitch and roll are not the gimbal's
        track.pointing(at, Pointing(euler(math.radians(10.0), -0.5, 0.0), relative=True))
    assert track.at(0.5).rotation == pytest.approx(euler(math.radians(100.0), -0.5, 0.0) @ CAMERA_IN_BODY, abs=1e-3)


def test_a_senders_clock_that_is_set_back_begins_anew():
    track = empty()
    for at in (100.0, 101.0, 20.0, 21.0):
        track.fix(at, Fix(47.0, 8.0, at, None))
        track.attitude(at, np.eye(3))
    assert track.at(100.5) is None
    assert track.at(20.5).altitude == pytest.approx(20.5)


def test_the_simulated_log_is_read_without_a_fault(tmp_path):
    flights, track = Flights(tmp_path / "sim.tlog", 3, PoseErrors()), empty()
    mavlink.read(tmp_path / "sim.tlog", track)
    assert track.faults == 0
    assert all(track.at(seen.at) is not None for seen in flights.passes)


def test_live_klv_is_heard_over_udp(tmp_path):
    pictures = [np.full((96, 128), 60, np.uint8)] * 50
    packets = [(n / 5, klv_streams.packet(UTC + n / 5, **FLOWN)) for n in range(10)]
    klv_streams.write(tmp_path / "flight.ts", pictures, packets)
    content, port = (tmp_path / "flight.ts").read_bytes(), free_port()
    track, stop = Track((0.0, 0.0, 0.0), 1.5, 6000, 0.5), threading.Event()
    address, began = f"udp://127.0.0.1:{port}", time.monotonic()

    def listen() -> None:
        with contextlib.suppress(SourceError):  # when no more packets come
            transport.listen(address, track, stop)

    hearing = threading.Thread(target=listen, daemon=True)
    hearing.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as drone:
        while track.begins is None and time.monotonic() < began + 60:
            for start in range(0, len(content), 1316):  # seven packets of the transport stream
                drone.sendto(content[start : start + 1316], ("127.0.0.1", port))
                stop.wait(0.002)
    stop.set()
    hearing.join(60)
    assert not hearing.is_alive()
    assert track.begins is not None
    assert began <= track.begins <= time.monotonic(), "on this machine's clock"
    seen = track.at(track.begins)
    assert seen is not None
    assert (seen.latitude, seen.hfov) == (pytest.approx(47.3769, abs=1e-6), pytest.approx(14.0, abs=0.01))


def test_nothing_of_the_extra_is_loaded_before_a_camera_has_a_pose():
    program = "import sys, edge.service, edge.segment, edge.report, edge.geo.locator; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"av", "pymavlink", "pymap3d", "serial"} & set(done.stdout.split())
