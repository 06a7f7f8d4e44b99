"""One camera's events on the map: the pose of a frame by its capture time, then the geometry, then the incident."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from edge import capture
from edge.errors import ConfigError, FgstpError
from edge.geo import incident, mavlink, place, transport
from edge.geo.incident import Incident
from edge.geo.pose import CAMERA_IN_BODY, Lens, Pose, euler, motion
from edge.geo.track import Track
from edge.records import Array, Event, Frame, Location, Point
from edge.vantage import GeoSettings, Standing

log = logging.getLogger("geo")

MAVLINK, KLV = "mavlink:", "klv:"  # how live poses begin
KEPT = 6000  # samples of a live track: two minutes of the quickest messages
AHEAD_S = 1.0  # that a frame may be ahead of the newest sample: live, the next one is on its way
RETRY_S = 5.0  # before lost poses are tried again


class Locator:
    """`located` every event of one camera, in order."""

    def __init__(self, settings: GeoSettings, source: str) -> None:
        """Reads recorded poses at once and listens to live ones. Raises ConfigError for poses that do not go with the
        camera's `source` or whose library is missing, SourceError where they cannot be read."""
        place.library()
        self._settings = settings
        self._stop = threading.Event()
        self._shift = settings.delay_s  # from a frame's time to that of the track
        self._places: dict[str, Location] = {}  # of open leaks, where they were seen last
        self._said: set[str] = set()  # troubles, each once
        self._before: Pose | None = None  # of the frame that was last asked for its motion
        self.incidents: tuple[Incident, ...] = ()
        self._track = None if settings.poses is None else self._opened(settings.poses, source)

    def located(self, event: Event, size: tuple[int, int]) -> Event:
        """The event with its place, where that can be told; without a plume, as at the end, the last that was. `size`
        is that of the picture, (width, height)."""
        pixel = event.origin or event.centroid
        found = None if pixel is None else self._locate(event, pixel, size)
        found = found or self._places.get(event.event_id)
        if found is None:
            return event
        self.incidents, event = incident.step(self.incidents, replace(event, location=found), self._settings.merge_m)
        if event.type == "end":
            self._places.pop(event.event_id, None)
        else:
            self._places[event.event_id] = found
        return event

    def motion(self, frame: Frame) -> Array | None:
        """How the poses say that the view has moved since the frame given before, as a homography (3, 3): px of this
        frame -> px of that one; None where they do not tell. Give every frame, in order."""
        before, now = self._before, None if self._track is None else self.pose(frame.captured, frame.index)
        self._before = now
        if before is None or now is None or (hfov := self._settings.hfov_deg or now.hfov) is None:
            return None
        height, width = frame.image.shape[:2]
        return motion(now, before, Lens.of((width, height), hfov), self._ground(now))

    def pose(self, captured: float, index: int) -> Pose | None:
        """The camera's pose when a frame was taken; None where it was not told."""
        if self._settings.fixed is not None:
            return standing(self._settings.fixed)
        assert self._track is not None
        if self._settings.start == "images":
            shots = self._track.shots
            return self._track.at(shots[index] + self._shift) if index < len(shots) else None
        return self._track.at(captured + self._shift)

    def close(self) -> None:
        """Listen no longer."""
        self._stop.set()

    def _locate(self, event: Event, pixel: Point, size: tuple[int, int]) -> Location | None:
        pose = self.pose(event.captured, event.frame_index)
        if pose is None:
            self._once("no pose for the time of a leak; check that poses arrive, and geo.delay_s")
            return None
        hfov = self._settings.hfov_deg or pose.hfov
        altitude = self._ground(pose)
        if hfov is None or altitude is None:
            missing = "hfov_deg" if hfov is None else "ground_m"
            self._once(f"the poses do not say it, so leaks get no place: set geo.{missing}")
            return None
        lens = Lens.of(size, hfov, self._settings.distortion)
        ground = place.Ground(altitude, self._settings.max_range_m)
        return place.locate(pose, lens, pixel, event.contour, ground, self._settings.errors)

    def _ground(self, pose: Pose) -> float | None:
        return pose.ground if self._settings.ground_m is None else self._settings.ground_m

    def _opened(self, poses: str, source: str) -> Track:
        live, filmed_live = poses.startswith((MAVLINK, KLV)), source.startswith(capture.LIVE)
        if live != filmed_live:
            kinds = "live poses need a live camera" if live else "recorded poses need a recording"
            raise ConfigError(f"geo.poses: {poses}: {kinds}, but the source is {capture.without_credentials(source)}")
        mount, gap = self._settings.mount_deg, self._settings.max_gap_s
        track = Track(mount, gap, KEPT if live else None, AHEAD_S)
        if live:
            self._listen(poses, track)
        elif Path(poses).suffix.lower() == ".tlog":
            mavlink.read(Path(poses), track)
            self._shift += self._beginning(track)
        else:
            transport.read(Path(poses), track)
        return track

    def _beginning(self, track: Track) -> float:
        """When, in a log's UTC, the recording begins."""
        if self._settings.start == "images":
            return 0.0
        if self._settings.start_utc is not None:
            return self._settings.start_utc
        assert track.begins is not None
        return track.shots[0] if track.shots else track.begins

    def _listen(self, poses: str, track: Track) -> None:
        kind, _, address = poses.partition(":")
        module = mavlink if kind == "mavlink" else transport
        module.library()  # a missing one is said now, not in a thread
        receive = partial(module.listen, address, track, self._stop)
        threading.Thread(target=self._keep, args=(receive,), name=f"poses {poses}", daemon=True).start()

    def _keep(self, receive: Callable[[], None]) -> None:
        """Listen again after a fault, for as long as we are wanted."""
        while not self._stop.is_set():
            try:
                receive()
            except FgstpError as error:
                self._once(capture.without_credentials(str(error)))
            self._stop.wait(RETRY_S)

    def _once(self, trouble: str) -> None:
        if trouble not in self._said:
            self._said.add(trouble)
            log.warning("%s", trouble)


def standing(camera: Standing) -> Pose:
    """A camera that does not move, as a pose."""
    angles = np.radians([camera.heading_deg, camera.pitch_deg, camera.roll_deg])
    return Pose(
        camera.latitude,
        camera.longitude,
        camera.altitude_m,
        euler(*angles) @ CAMERA_IN_BODY,
        velocity=np.zeros(3),
        turn=np.zeros(3),
        ground=None,
        hfov=None,
    )
