"""A pixel's place on the ground, and the ellipse that is to hold the true one."""

from __future__ import annotations

import math

import numpy as np
import pymap3d
import pytest

from edge.geo import mavlink
from edge.geo.place import Ground, covariance_of, ellipse, locate, spread
from edge.geo.pose import CAMERA_IN_BODY, Lens, Pose, euler, heading_of, motion, quaternion, turned, turning
from edge.geo.track import Track
from edge.vantage import PoseErrors
from tests.edge.flights import GROUND_M, HFOV, HOME, SIZE, Flights

LENS = Lens.of((640, 480), 40.0)
GROUND = Ground(400.0, 2000.0)
NONE = PoseErrors(**dict.fromkeys(PoseErrors.model_fields, 0.0))
MIDDLE = (320.0, 240.0)


def pose(heading: float = 0.0, pitch: float = -90.0, roll: float = 0.0, altitude: float = 500.0) -> Pose:
    rotation = euler(*np.radians([heading, pitch, roll])) @ CAMERA_IN_BODY
    return Pose(*HOME, altitude, rotation, np.zeros(3), np.zeros(3), None, None)


def offset(seen: Pose, pixel: tuple[float, float]) -> tuple[float, float]:
    """Metres (north, east) from the camera's foot, by another library."""
    found = locate(seen, LENS, pixel, (), GROUND, NONE)
    assert found is not None
    east, north, _ = pymap3d.geodetic2enu(found.latitude, found.longitude, 400.0, seen.latitude, seen.longitude, 400.0)
    return north, east


def test_straight_down_the_middle_is_below_and_the_right_is_right():
    half = 100.0 * math.tan(math.radians(20.0))  # of the view's width on the ground
    assert offset(pose(), MIDDLE) == pytest.approx((0.0, 0.0), abs=1e-3)
    assert offset(pose(), (640.0, 240.0)) == pytest.approx((0.0, half), abs=1e-3)  # up in the picture is north
    assert offset(pose(), (320.0, 0.0)) == pytest.approx((half * 0.75, 0.0), abs=1e-3)
    assert offset(pose(heading=90.0), (640.0, 240.0)) == pytest.approx((-half, 0.0), abs=1e-3)


def test_looking_ahead_meets_the_ground_ahead():
    assert offset(pose(heading=60.0, pitch=-45.0), MIDDLE) == pytest.approx(
        (50.0, 100 * math.sin(math.pi / 3)), abs=1e-3
    )
    north, east = offset(pose(pitch=-45.0, roll=10.0), (640.0, 240.0))  # right side down: the right is nearer
    assert north < offset(pose(pitch=-45.0), (640.0, 240.0))[0]
    assert east > 0


@pytest.mark.parametrize(
    "seen",
    [pose(pitch=0.0), pose(pitch=20.0), pose(pitch=-2.0), pose(altitude=399.0)],
    ids=["at the horizon", "the sky", "out of reach", "below the ground"],
)
def test_what_is_not_on_the_ground_has_no_place(seen):
    assert locate(seen, LENS, MIDDLE, (), GROUND, NONE) is None


def test_a_ray_that_might_miss_the_ground_has_no_place():
    assert locate(pose(pitch=-4.0), LENS, MIDDLE, (), GROUND, NONE) is not None
    assert locate(pose(pitch=-4.0), LENS, MIDDLE, (), GROUND, PoseErrors(tilt_deg=2.0)) is None


def test_an_outline_is_cast_whole_or_not_at_all():
    square = [(300.0, 220.0), (340.0, 220.0), (340.0, 260.0), (300.0, 260.0)]
    whole = locate(pose(pitch=-45.0), LENS, MIDDLE, square, GROUND, NONE)
    assert whole is not None
    assert len(whole.outline) == 4
    assert min(x for x, _ in whole.outline) < whole.longitude < max(x for x, _ in whole.outline)
    cut = locate(pose(pitch=-15.0), LENS, MIDDLE, [*square, (320.0, 0.0)], GROUND, NONE)
    assert cut is not None
    assert cut.outline == ()


def test_one_error_gives_the_ellipse_that_it_must():
    seen = pose(heading=0.0, pitch=-45.0)
    _, covariance = spread(seen, LENS, MIDDLE, GROUND, NONE.model_copy(update={"vertical_m": 2.0}))
    assert covariance == pytest.approx(np.diag([4.0, 0.0]), abs=1e-9)  # higher by 1 m: further by 1 m
    _, covariance = spread(seen, LENS, MIDDLE, GROUND, NONE.model_copy(update={"heading_deg": 1.0}))
    assert math.sqrt(covariance[1, 1]) == pytest.approx(100 * math.radians(1.0), rel=1e-3)
    moving = Pose(*HOME, 500.0, seen.rotation, np.array([0.0, 10.0, 0.0]), np.zeros(3), None, None)
    _, covariance = spread(moving, LENS, MIDDLE, GROUND, NONE.model_copy(update={"time_s": 0.1}))
    assert covariance == pytest.approx(np.diag([0.0, 1.0]), abs=1e-9)


def test_an_ellipse_is_what_its_covariance_says():
    turn = np.array([[math.cos(0.5), -math.sin(0.5)], [math.sin(0.5), math.cos(0.5)]])
    covariance = turn @ np.diag([9.0, 4.0]) @ turn.T
    major, minor, azimuth = ellipse(covariance)
    assert (major, minor) == pytest.approx((3 * math.sqrt(5.991), 2 * math.sqrt(5.991)))
    assert azimuth == pytest.approx(math.degrees(0.5))
    found = locate(pose(pitch=-45.0), LENS, MIDDLE, (), GROUND, PoseErrors())
    assert found is not None
    assert covariance_of(found) == pytest.approx(spread(pose(pitch=-45.0), LENS, MIDDLE, GROUND, PoseErrors())[1])


def test_rotations_agree_with_one_another():
    angles = (2.0, -0.7, 0.3)
    body = euler(*angles)
    assert heading_of(body) == pytest.approx(2.0)
    half = [a / 2 for a in angles]
    (ch, cp, cr), (sh, sp, sr) = (np.cos(half), np.sin(half))
    same = quaternion(
        ch * cp * cr + sh * sp * sr,
        ch * cp * sr - sh * sp * cr,
        ch * sp * cr + sh * cp * sr,
        sh * cp * cr - ch * sp * sr,
    )
    assert same == pytest.approx(body)
    assert turned(turning(np.eye(3), body)) == pytest.approx(body)
    with pytest.raises(ValueError, match="unit length"):
        quaternion(float("nan"), 0.0, 0.0, 0.0)


def test_distortion_moves_the_corner_not_the_middle():
    barrel = Lens.of((640, 480), 40.0, (-0.3, 0.0, 0.0, 0.0))
    assert barrel.ray(MIDDLE) == pytest.approx([0.0, 0.0, 1.0])
    assert barrel.ray((640.0, 240.0))[0] > LENS.ray((640.0, 240.0))[0]


@pytest.mark.parametrize("turn", [(0, 0, 0), (3, 0, 0), (0, 2, 0), (0, 0, 4), (1, -2, 3)])
def test_poses_tell_where_ground_was_in_the_picture_before(turn):
    """Its pixels are computed from geodetic coordinates by another library."""
    before = pose(20, -60)
    here = pymap3d.ned2geodetic(4.0, -3.0, 2.0, *HOME, 500.0)
    rotation = euler(*np.radians([20 + turn[0], -60 + turn[1], turn[2]])) @ CAMERA_IN_BODY
    now = Pose(*map(float, here), rotation, np.zeros(3), np.zeros(3), None, None)
    north, east = 40.0, 25.0
    spot = pymap3d.ned2geodetic(north, east, 100.0, *HOME, 500.0)

    def pixel(seen: Pose) -> np.ndarray:
        away = pymap3d.geodetic2ned(*spot, seen.latitude, seen.longitude, seen.altitude)
        x, y, z = seen.rotation.T @ np.array(away)
        return np.array([320 + LENS.focal * x / z, 240 + LENS.focal * y / z, 1.0])

    found = motion(now, before, LENS, 400.0) @ pixel(now)
    assert found[:2] / found[2] == pytest.approx(pixel(before)[:2], abs=0.2)
    far = motion(now, before, LENS, None) @ pixel(now)  # without ground only the turn is known
    assert np.hypot(*(far[:2] / far[2] - pixel(before)[:2])) > 10


def test_the_ellipse_holds_the_true_place_in_95_of_100_flights(tmp_path):
    """Every modelled error is drawn anew in each pass and enters the log or the picture, never the code under test."""
    errors, track = PoseErrors(), Track((0.0, 0.0, 0.0), 1.5)
    flights = Flights(tmp_path / "sim.tlog", 600, errors)
    mavlink.read(tmp_path / "sim.tlog", track)
    lens, inside, majors, minors = Lens.of(SIZE, HFOV), 0, [], []
    for seen in flights.passes:
        at = track.at(seen.at)
        assert at is not None
        found = locate(at, lens, seen.pixel, (), Ground(GROUND_M, 2000.0), errors)
        assert found is not None
        east, north, _ = pymap3d.geodetic2enu(*seen.leak, GROUND_M, found.latitude, found.longitude, GROUND_M)
        off = np.array([north, east])
        inside += off @ np.linalg.solve(covariance_of(found), off) <= 5.991
        majors.append(found.major_m)
        minors.append(found.minor_m)
    print(f"{inside} of {len(flights.passes)}, median ellipse {np.median(majors):.1f} x {np.median(minors):.1f} m")
    assert 0.93 <= inside / len(flights.passes) <= 0.97
    assert 4.0 < np.median(majors) < 12.0  # an ellipse as large as the view would hold everything
