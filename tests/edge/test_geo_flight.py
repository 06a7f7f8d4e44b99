"""A flight from transport stream to report: segment puts leaks on the map, report makes a record of them."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import geojson as independent
import numpy as np
import pymap3d
import pytest

from edge import segment as module
from edge.__main__ import main
from edge.rules import AlarmSettings
from edge.segment import segment
from edge.vantage import GeoSettings
from tests.conftest import check
from tests.edge import klv_streams
from tests.edge.fakes import FakeSegmenter, picture
from tests.edge.klv_streams import FPS, UTC

BRISK = AlarmSettings(on_delay_s=0.4, off_delay_s=0.4, update_every_s=0.2)
HOME = (47.3769, 8.5417)
# seconds in which gas is seen, where the camera is then (m north, east of HOME) and where its top points
PASSES = [((0.2, 1.8), (0.0, 0.0), 0.0), ((2.6, 4.0), (6.4, -15.4), 180.0), ((4.8, 6.0), (150.0, 0.0), 0.0)]
LEAKS = [
    (3.2, -7.7),
    (153.2, -7.7),
]  # where that is: 100 m below, 34 px left of and 14 px above the middle


def where(second: float) -> tuple[tuple[float, float], float]:
    """The camera's place and heading: it is where it will see gas next."""
    return next(((at, heading) for (_, end), at, heading in PASSES if second < end + 0.3), PASSES[-1][1:])


@pytest.fixture(scope="module")
def eye() -> FakeSegmenter:
    return FakeSegmenter()


@pytest.fixture(scope="module")
def flown(tmp_path_factory, eye) -> Path:
    """What segment has written of a camera that looks straight down, passes one leak twice and then another."""
    folder = tmp_path_factory.mktemp("flight")
    pictures, packets = [], []
    for index in range(round(PASSES[-1][0][1] * FPS)):
        pictures.append(picture(False, index))
        if any(first <= index / FPS < end for (first, end), _, _ in PASSES):
            pictures[-1][100:112, 120:132] = 200
    for fifth in range(len(pictures) * 5 // FPS + 2):
        (north, east), heading = where(fifth / 5)
        latitude, longitude, _ = pymap3d.ned2geodetic(north, east, -100.0, *HOME, 400.0)
        looks = {"heading": heading, "pitch": 0.0, "roll": 0.0, "azimuth": 0.0, "elevation": -90.0, "turn": 0.0}
        place = {"latitude": float(latitude), "longitude": float(longitude), "altitude": 500.0, "ground": 400.0}
        packets.append((fifth / 5, klv_streams.packet(UTC + fifth / 5, **looks, **place, hfov=40.0)))
    klv_streams.write(folder / "flight.ts", pictures, packets)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "open_segmenter", lambda *_args, **_options: eye)
        geo = GeoSettings(poses=str(folder / "flight.ts"))
        segment(geo.poses, folder / "out", settings=BRISK, geo=geo, with_evidence=True)
    assert main(["report", str(folder / "out")]) == 0
    return folder / "out"


def events(out: Path) -> list[dict]:
    return [check("event", line) for line in (out / "events.jsonl").read_text().splitlines()]


def features(file: Path, kind: str) -> list[dict]:
    return [one for one in json.loads(file.read_text())["features"] if one["properties"]["kind"] == kind]


def test_every_event_has_its_place_to_its_end(flown):
    said = events(flown)
    assert [event["type"] for event in said if event["type"] != "update"] == ["start", "end"] * 2 + ["start"]
    for event in said:
        place = event["location"]
        true = LEAKS[event["captured"] > 4.5]
        east, north, _ = pymap3d.geodetic2enu(place["latitude"], place["longitude"], 400.0, *HOME, 400.0)
        assert (north, east) == pytest.approx(true, abs=3.5)
        assert place["semi_minor_m"] < place["semi_major_m"] < 15
        assert place["camera"]["altitude_m"] == pytest.approx(500.0, abs=0.2)


def test_a_second_pass_over_a_leak_is_the_same_incident_and_another_leak_is_not(flown):
    starts = [event for event in events(flown) if event["type"] == "start"]
    ids = [event["location"]["incident_id"] for event in starts]
    assert ids == [starts[0]["event_id"], starts[0]["event_id"], starts[2]["event_id"]]


@pytest.mark.parametrize("name", ["flight.geojson", "report.geojson"])
def test_the_map_is_geojson_to_an_independent_reader(flown, name):
    text = (flown / name).read_text()
    assert independent.loads(text).is_valid
    kinds = [one["properties"]["kind"] for one in json.loads(text)["features"]]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"track": 1, "leak": 3, "ellipse": 3, "outline": 3}
    track = features(flown / name, "track")[0]
    assert len(track["geometry"]["coordinates"]) == len(track["properties"]["times"]) >= 5
    for polygon in features(flown / name, "ellipse"):
        ring = polygon["geometry"]["coordinates"][0]
        twice = sum(x * v - u * y for (x, y), (u, v) in itertools.pairwise(ring))
        assert ring[0] == ring[-1]
        assert twice > 0, "an outer ring is counterclockwise"


def test_an_ellipse_on_the_map_has_the_size_that_the_event_says(flown):
    leak, ring = features(flown / "flight.geojson", "leak")[0], features(flown / "flight.geojson", "ellipse")[0]
    longitude, latitude = leak["geometry"]["coordinates"]
    enus = [
        pymap3d.geodetic2enu(y, x, 400.0, latitude, longitude, 400.0)[:2] for x, y in ring["geometry"]["coordinates"][0]
    ]
    radii = [(east**2 + north**2) ** 0.5 for east, north in enus]
    assert max(radii) == pytest.approx(leak["properties"]["semi_major_m"], rel=0.01)
    assert min(radii) == pytest.approx(leak["properties"]["semi_minor_m"], rel=0.01)


def test_the_evidence_of_each_leak_is_kept(flown):
    folders = sorted((flown / "leaks").glob("*/*"))
    assert len(folders) == 3
    for folder in folders:
        assert {file.name for file in folder.iterdir()} == {"event.json", "snapshot.jpg", "overlay.jpg", "clip.avi"}


class Strict(HTMLParser):
    """Refuses what is not nested, and whatever a browser would fetch."""

    VOID = frozenset({"meta", "img", "input", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        for name, value in attrs:
            if name in ("src", "href", "data", "poster", "action"):
                assert str(value).startswith(("data:", "#")), (tag, name, str(value)[:80])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())


def test_the_report_is_one_well_formed_file_that_fetches_nothing(flown):
    text = (flown / "report.html").read_text()
    page = Strict()
    page.feed(text)
    page.close()
    assert page.open == []
    assert not re.search(r"url\(|@import|https?://", text)
    tags = [tag for tag, _ in page.seen]
    assert (tags.count("section"), tags.count("article")) == (2, 3)
    assert tags.count("svg") == 1 + 3  # the map, and each leak's area over time
    assert sum("film" in str(named.get("class")) for _, named in page.seen) == 3


def test_the_report_says_what_the_events_say(flown):
    text = (flown / "report.html").read_text()
    for event in events(flown):
        if event["type"] == "start":
            assert event["event_id"] in text
            assert event["snapshot_sha256"] in text
            assert event["provenance"]["model_sha256"] in text
    place = features(flown / "report.geojson", "leak")[0]["geometry"]["coordinates"]
    assert f"{place[1]:.6f}, {place[0]:.6f}" in text
    assert "2 incidents, 3 leak events" in text


def test_the_still_in_the_report_is_the_one_that_the_event_vouches_for(flown):
    stills = re.findall(
        r'<img src="data:image/jpeg;base64,([^"]+)" alt="As seen">', (flown / "report.html").read_text()
    )
    sums = {hashlib.sha256(base64.b64decode(still)).hexdigest() for still in stills}
    assert sums == {event["snapshot_sha256"] for event in events(flown) if event["type"] == "start"}


PROBE = """<script>
addEventListener("load", () => {
  const film = document.querySelector(".film"), slider = film.querySelector("input");
  const before = film.querySelector("img").src;
  const drawn = [...document.images].every((image) => image.complete && image.naturalWidth > 0);
  slider.value = slider.max;
  slider.dispatchEvent(new Event("input"));
  document.body.setAttribute("data-found", JSON.stringify({
    drawn,
    images: document.images.length,
    turned: film.querySelector("img").src !== before,
    wide: document.documentElement.scrollWidth <= innerWidth,
    styled: getComputedStyle(document.querySelector("table")).borderCollapse,
  }));
});
</script></body>"""


def test_a_browser_shows_the_report_with_its_pictures_and_clips(flown, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    page = tmp_path / "probed.html"
    page.write_text((flown / "report.html").read_text().replace("</body>", PROBE))
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found = re.search(r'data-found="([^"]*)"', done.stdout)
    assert found is not None, done.stderr[-2000:]
    said = json.loads(found[1].replace("&quot;", '"'))
    assert said == {"drawn": True, "images": 9, "turned": True, "wide": True, "styled": "collapse"}


def test_whoever_makes_the_masks_is_told_of_each_frame_how_the_camera_moves(flown, eye):
    first, *others = eye.priors
    assert first is None
    assert all(prior is not None for prior in others)
    turned = [prior for prior in others if abs(np.degrees(np.arctan2(prior[1, 0], prior[0, 0]))) > 10]
    assert turned, "between its first two passes it turns round"
    stood = others[: round(FPS)]
    assert stood == [pytest.approx(np.eye(3), abs=1e-3)] * len(stood)
