"""What a place does to events: which are one incident, what comes where the pose is not known, what a report takes."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pymap3d
import pytest

from edge import payload, report
from edge.__main__ import main
from edge.config import parse
from edge.errors import ConfigError, StorageError
from edge.geo import incident
from edge.geo.locator import Locator, standing
from edge.geo.place import Ground, covariance_of, locate
from edge.geo.pose import Lens
from edge.records import Event, Location, Quality
from edge.vantage import GeoSettings, PoseErrors, Standing
from tests.conftest import check
from tests.edge.flights import UTC, Flights

HERE = Location(47.0, 8.0, 400.0, 5.0, 3.0, 30.0, (), (8.0, 47.0, 500.0))
STANDING = Standing(latitude=47.0, longitude=8.0, altitude_m=450.0, heading_deg=0.0, pitch_deg=-45.0)
FIXED = GeoSettings(fixed=STANDING, hfov_deg=40.0, ground_m=400.0)
SIZE = (320, 240)


def event(event_id: str, kind: str = "start", place: Location | None = HERE, *, camera: str = "drone") -> Event:
    return Event(
        type=kind,
        event_id=event_id,
        sequence=0,
        camera=camera,
        started_utc=0.0,
        utc=1.0,
        captured=1.0,
        frame_index=30,
        duration_s=1.0,
        area_px=400,
        peak_area_px=400,
        area_share=0.005,
        box=(150, 110, 20, 20),
        contour=((150, 110), (170, 110), (170, 130), (150, 130)),
        centroid=(160.0, 120.0),
        origin=(160.0, 120.0),
        drift=None,
        cnr=5.0,
        confidence=0.9,
        quality=Quality.GOOD,
        location=place,
    )


def east(metres: float, *, size: float = 5.0) -> Location:
    along = metres / (6_378_137 * math.cos(math.radians(47.0)) * (1 + 0.0033528 * math.sin(math.radians(47.0)) ** 2))
    return replace(HERE, longitude=8.0 + math.degrees(along), major_m=size, minor_m=size)


def incidents(*events: Event, merge_m: float = 5.0) -> list[str]:
    known: tuple[incident.Incident, ...] = ()
    ids = []
    for one in events:
        known, told = incident.step(known, one, merge_m)
        assert told.location is not None
        ids.append(told.location.incident)
    return ids


def test_offsets_are_metres_on_the_ellipsoid():
    there = replace(HERE, latitude=47.01, longitude=8.02)
    away_east, away_north, _ = pymap3d.geodetic2enu(47.01, 8.02, 0.0, 47.0, 8.0, 0.0)
    assert incident.offset(HERE, there) == pytest.approx([away_north, away_east], rel=2e-3)
    across = incident.offset(replace(HERE, longitude=179.999), replace(HERE, longitude=-179.999))
    assert across[1] == pytest.approx(152.2, abs=1.0), "over the antimeridian by the short way"


def test_a_leak_that_is_seen_again_is_the_same_incident():
    assert incidents(event("a"), event("a", "end"), event("b", place=east(4.0))) == ["a", "a", "a"]


def test_one_elsewhere_is_another():
    assert incidents(event("a"), event("a", "end"), event("b", place=east(60.0))) == ["a", "a", "b"]


def test_how_far_is_elsewhere_depends_on_how_well_the_places_are_known():
    sharp = event("a", place=east(0.0, size=2.0)), event("a", "end", east(0.0, size=2.0))
    vague = event("a", place=east(0.0, size=20.0)), event("a", "end", east(0.0, size=20.0))
    assert incidents(*sharp, event("b", place=east(15.0, size=2.0)))[-1] == "b"
    assert incidents(*vague, event("b", place=east(15.0, size=20.0)))[-1] == "a"


def test_two_that_are_open_at_once_in_one_camera_are_two():
    assert incidents(event("a"), event("b", place=east(1.0)))[-1] == "b"
    assert incidents(event("a"), event("b", place=east(1.0), camera="other"))[-1] == "a"
    assert incidents(event("a"), event("a", "end"), event("b", place=east(1.0)))[-1] == "a"


def test_of_two_incidents_in_reach_the_nearer_is_taken():
    far, near = east(40.0, size=20.0), east(10.0, size=20.0)
    said = [
        event("a", "end", replace(far, major_m=1, minor_m=1)),
        event("b", "end", replace(near, major_m=1, minor_m=1)),
    ]
    assert incidents(*said, event("c", place=east(16.0, size=30.0)))[-1] == "b"


def test_an_incident_keeps_the_best_known_place():
    known: tuple[incident.Incident, ...] = ()
    for one in (
        event("a", place=east(0.0, size=9.0)),
        event("a", "update", east(2.0)),
        event("a", "end", east(0.0, size=8.0)),
    ):
        known, _ = incident.step(known, one, 5.0)
    assert known[0].place.major_m == 5.0
    assert known[0].open == ()


def test_the_size_of_an_ellipse_survives_its_message():
    turned = replace(HERE, azimuth=170.0)
    assert np.sqrt(5.991 * np.linalg.eigvalsh(covariance_of(turned))) == pytest.approx([3.0, 5.0])


def test_a_camera_that_stands_puts_its_events_on_the_map():
    locator = Locator(FIXED, "/dev/video0")
    told = locator.located(event("a", place=None), SIZE)
    direct = locate(standing(STANDING), Lens.of(SIZE, 40.0), (160.0, 120.0), (), Ground(400.0, 2000.0), PoseErrors())
    assert told.location is not None
    assert direct is not None
    assert (told.location.latitude, told.location.major_m) == (direct.latitude, direct.major_m)
    assert incident.offset(HERE, told.location) == pytest.approx([50.0, 0.0], abs=0.1)
    assert len(told.location.outline) == 4
    assert check("event", _as_sent(told))["location"]["semi_major_m"] == pytest.approx(told.location.major_m, abs=1e-6)


def _as_sent(told: Event) -> str:
    """With ids as they are in real life."""
    assert told.location is not None
    same = "5f0bcd6e-3b39-5d6a-9d4c-8f3f5b8f2f10"
    return payload.encode(payload.event(replace(told, event_id=same, location=replace(told.location, incident=same))))


def test_the_end_of_a_leak_has_the_last_place_that_was_known():
    locator = Locator(FIXED, "/dev/video0")
    before = locator.located(event("a", place=None), SIZE)
    gone = replace(event("a", "end", None), origin=None, centroid=None, contour=())
    assert locator.located(gone, SIZE).location == before.location
    assert locator.located(replace(gone, event_id="b"), SIZE).location is None


def test_a_recording_begins_where_its_log_says(tmp_path):
    flights = Flights(tmp_path / "sim.tlog", 2, PoseErrors())
    seen = flights.passes[1]
    begin = "2026-09-21T14:13:20Z"  # UTC 1,790,000,000
    settings = GeoSettings(poses=str(tmp_path / "sim.tlog"), start=begin, hfov_deg=24.0)
    locator = Locator(settings, "clip.mp4")
    pose = locator.pose(seen.at - UTC, 0)
    assert pose is not None
    assert pose.utc == pytest.approx(seen.at)
    assert (
        Locator(settings.model_copy(update={"delay_s": 0.5}), "clip.mp4").pose(seen.at - UTC - 0.5, 0).utc == pose.utc
    )
    late = Locator(settings.model_copy(update={"start": None}), "clip.mp4")  # without it: the log's first position
    assert late.pose(0.2, 0).utc == pytest.approx(flights.passes[0].at - 1.5 + 0.2, abs=0.05)


def test_a_folder_of_pictures_takes_the_logs_pictures_one_by_one(tmp_path):
    flights = Flights(tmp_path / "sim.tlog", 3, PoseErrors())
    locator = Locator(GeoSettings(poses=str(tmp_path / "sim.tlog"), start="images"), "frames")
    locator._track.shots += [seen.at for seen in flights.passes]
    times = [locator.pose(captured=index / 15, index=index).utc for index in range(3)]
    assert times == pytest.approx([seen.at for seen in flights.passes])
    assert locator.pose(captured=0.2, index=3) is None


@pytest.mark.parametrize(
    ("poses", "source", "said"),
    [
        ("mavlink:udpin:127.0.0.1:14599", "clip.mp4", "live poses need a live camera, but the source is clip.mp4"),
        (
            "flight.tlog",
            "rtsp://me:secret@cam/1",
            r"recorded poses need a recording, but the source is rtsp://\*\*\*@cam/1",
        ),
    ],
)
def test_poses_that_do_not_go_with_the_camera_are_refused(poses, source, said):
    with pytest.raises(ConfigError, match=said):
        Locator(GeoSettings(poses=poses), source)


def test_what_the_poses_do_not_say_is_asked_for_once_and_stops_no_alarm(tmp_path, caplog):
    flights = Flights(tmp_path / "sim.tlog", 1, PoseErrors())
    locator = Locator(GeoSettings(poses=str(tmp_path / "sim.tlog")), "clip.mp4")
    at = flights.passes[0].at - locator._track.begins
    with caplog.at_level(logging.WARNING, "geo"):
        for _ in range(3):
            assert locator.located(replace(event("a", place=None), captured=at), SIZE).location is None
            assert locator.located(replace(event("a", place=None), captured=-5.0), SIZE).location is None
    assert [record.message for record in caplog.records] == [
        "the poses do not say it, so leaks get no place: set geo.hfov_deg",
        "no pose for the time of a leak; check that poses arrive, and geo.delay_s",
    ]


CAMERA = "device: box\ncameras:\n  - name: north\n    source: clip.mp4\n    geo: KEYS\n"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("{}", "give poses or fixed, one of them"),
        ("{poses: a.tlog, fov: 3}", "geo.fov: unknown key"),
        ("{poses: a.tlog, errors: {tilt: 1}}", "geo.errors.tilt: unknown key; did you mean 'tilt_deg'"),
        ("{poses: a.tlog, distortion: [1.0]}", "give 4, 5 or 8 coefficients"),
        ("{poses: a.tlog, start: 2026-05-01T10:00:00}", "geo.start"),
        (
            "{fixed: {latitude: 1, longitude: 2, altitude_m: 3, heading_deg: 0, pitch_deg: 0}}",
            "a fixed camera needs hfov_deg and ground_m",
        ),
    ],
)
def test_mistakes_in_the_configuration_are_named(keys, said):
    with pytest.raises(ConfigError, match=said):
        parse(CAMERA.replace("KEYS", keys))


def test_the_configuration_takes_a_time_and_keeps_it():
    config = parse(CAMERA.replace("KEYS", "{poses: a.tlog, start: 2026-05-01T10:00:00Z}"))
    assert config.cameras[0].geo.start_utc == 1_777_629_600.0
    assert parse(CAMERA.replace("KEYS", "{poses: a.tlog, start: images}")).cameras[0].geo.start == "images"


def evidence(root: Path, one: Event) -> Path:
    folder = root / one.camera / f"20260131T120000.000Z-{one.event_id}"
    folder.mkdir(parents=True)
    (folder / "event.json").write_text(payload.encode(payload.event(one)))
    return folder


def test_a_devices_evidence_is_reported_with_what_there_is(tmp_path):
    over = evidence(tmp_path, event("a"))
    steps = [
        event("a"),
        replace(event("a", "update"), sequence=1, duration_s=2.0),
        replace(event("a", "end"), sequence=2),
    ]
    (over / "events.jsonl").write_text("".join(payload.encode(payload.event(one)) + "\n" for one in steps))
    evidence(tmp_path, event("b", place=None, camera="<b>north"))
    page, flight = report.write(tmp_path)
    assert sorted(len(leak.steps) for leak in flight.leaks) == [1, 3]
    text = page.read_text()
    assert text.count("Area over time") == 1
    assert "&lt;b&gt;north" in text
    assert "<b>north" not in text
    assert "not known" in text
    assert report.write(tmp_path)[1] == flight, "a report does not report on itself"


def test_a_flight_that_found_nothing_has_a_report_too(tmp_path, capsys):
    (tmp_path / "events.jsonl").write_text("")
    assert main(["report", str(tmp_path)]) == 0
    assert "No leak was found" in (tmp_path / "report.html").read_text()
    assert "0 incidents, 0 leak events" in capsys.readouterr().out


def test_what_cannot_be_reported_on_is_named(tmp_path, capsys):
    with pytest.raises(StorageError, match=r"gone: no such folder"):
        report.write(tmp_path / "gone")
    with pytest.raises(StorageError, match=r"no events\.jsonl or event\.json in it"):
        report.write(tmp_path)
    (tmp_path / "events.jsonl").write_text('{"event_id": "a"}\n')
    with pytest.raises(StorageError, match=r"events\.jsonl:1: not an event"):
        report.write(tmp_path)
    (tmp_path / "events.jsonl").write_text("{\n")
    assert main(["report", str(tmp_path)]) == 6
    assert capsys.readouterr().err.count("\n") == 1


def test_segment_takes_geo_from_a_configuration_or_says_that_it_has_none(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text(CAMERA.replace("    geo: KEYS\n", ""))
    command = [
        "segment",
        "clip.mp4",
        "--out",
        str(tmp_path / "out"),
        "--geojson",
        "--config",
        str(tmp_path / "config.yaml"),
    ]
    assert main(command) == 2
    assert "no camera in it has a geo section" in capsys.readouterr().err
