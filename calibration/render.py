"""Whole training clips: a scene, what moves in it, gas over it by Beer-Lambert, a camera, and the label.

The label is where gas is visible: where its contrast exceeds what noise, grey steps and codec hide, minus what stands
in front of it. Gas that never differs from the background that the camera knows cannot be told from a painted wall: it
is labelled as unknown, not as gas and not as none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from calibration.camera import Camera
from calibration.flight import roll_rows, rows_late, steps
from calibration.follow import born, carried, evidence
from calibration.footage import Footage
from calibration.leak import draw_leak
from calibration.movers import Mover, mover
from calibration.noise import NoiseBank
from calibration.plume import simulate
from calibration.scene import creep, procedural, sway
from calibration.terrain import chase, overflight
from calibration.view import Course, View
from edge.records import Array

VISIBLE_GREY = 2.2  # grey levels of 255 below which an 8-bit video hardly shows a difference
VISIBLE_OPACITY = 0.03  # thinner gas counts as air, or a bright plume's mask would be wider than anybody would draw it
VISIBLE_NOISE = 0.8  # contrast-to-noise below which an area is lost in the noise
OUTLINED = 1 / 6  # share of a plume's highest contrast that whoever outlines it takes for its body…
CHASES = 0.25  # share of the moving clips that are footage of a camera that moved
FRINGE = 3  # …and the px around the body that are still drawn: what thins out further away is left as haze
NONE, GAS, UNKNOWN = 0, 1, 2  # label values


@dataclass(frozen=True, slots=True)
class RenderedClip:
    """One clip with its label and the slow background that a running camera would have by then."""

    frames: Array  # (T, H, W) uint8
    masks: Array  # (T, H, W) uint8: NONE, GAS or UNKNOWN
    background: Array | None  # (H, W) float32 0..1; None: the camera was switched on with the first frame
    steps_per_lag: tuple[int, int]  # frames in the short and in the long lag
    interval: float  # seconds between frames
    steps: Array | None = None  # (T, 2, 3) float32, px of each view -> px of the last, as registered; None: still


class Renderer:
    """Seeded source of clips; footage is optional. `moving` is the share of clips in which the camera moves and its
    registration works: what it saw earlier can be looked up where it now is."""

    def __init__(
        self,
        seed: int,
        footage: Footage | None,
        size: tuple[int, int] = (160, 160),
        frames: int = 12,
        moving: float = 0.0,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.bank = NoiseBank(self.rng)
        self.footage, self.size, self.frames, self.moving = footage, size, frames, moving

    def __iter__(self) -> Iterator[RenderedClip]:
        while True:
            yield self.clip()

    def clip(self) -> RenderedClip:
        rng = self.rng
        # 7.5 and 15 frames a second: one and two frames to the short lag
        per_short = int(rng.choice([1, 2]))
        view = self.view(2 // per_short)
        course = view.course
        camera = Camera(rng, self.bank, self.size)
        if course is not None:  # whatever shakes the camera is registered with the rest
            camera.shake = 0.0
        scene, past = camera.expose(view.frames), camera.expose(view.earlier).mean(0)
        if course is None and rng.random() < 0.3:
            scene, past = sway(rng, self.bank, scene, past)
        if course is None and rng.random() < 0.5:
            past = creep(rng, self.bank, past)
        behind, front = self.movers(view), self.movers(view)
        for thing in behind:
            scene, past = stand(scene, past, thing, camera)
        if rng.random() < 0.25:  # the scene has warmed or cooled since
            drift = rng.uniform(0.001, 0.004) * self.bank.still(rng, self.size, rng.uniform(3.0, 8.0))
            past = past + drift.astype(np.float32)
        leaks, ghost = not view.moving and rng.random() < 0.75, rng.random() < 0.1
        change, past_change, opacity = np.zeros_like(scene), np.zeros_like(past), np.zeros_like(scene)
        if leaks or ghost:
            change, past_change, opacity = self.gas(scene, past, None if course is None else course.track)
        if not leaks:  # clean air; now and then the background still holds a plume that has gone
            change = np.zeros_like(scene)
        near = None if course is None else course.near
        if near is not None:
            change = change * (1 - near)
        scene, past = scene + change, past + past_change
        for thing in front:
            scene, past = stand(scene, past, thing, camera)
        hidden = sum((thing.opacity for thing in front), np.zeros_like(scene)) > 0.5
        if near is not None:
            hidden |= near > 0.5
        if course is not None and course.fresh is not None:
            past, past_change = np.where(course.fresh, (scene[0], change[0]), (past, past_change))
        warm = rng.random() < 0.6
        bar = max(VISIBLE_GREY / 255.0, VISIBLE_NOISE * camera.noise, camera.hides)
        masks = label(change, past_change if warm else None, bar, None if course is None else course.track)
        masks[hidden | (opacity < VISIBLE_OPACITY) | (camera.window == 0)] = NONE
        if course is not None and course.flight.readout:
            scene, masks = self.rolled(course, scene, masks)
        return RenderedClip(
            frames=camera.record([camera.disturb(grey) for grey in scene]),
            masks=masks,
            background=camera.remember(past) if warm else None,
            steps_per_lag=(per_short, 4 * per_short),
            interval=2 / 15 / per_short,
            steps=None if course is None else steps(course.read),
        )

    def view(self, stride: int) -> View:
        rng = self.rng
        if self.moving and rng.random() < self.moving:
            found = None
            if self.footage is not None and rng.random() < CHASES:
                found = chase(rng, self.footage, self.size, self.frames, stride)
            return found or overflight(rng, self.bank, self.footage, self.size, self.frames, float(stride))
        kind = rng.random()
        if self.footage is None or kind < 0.4:
            return procedural(rng, self.bank, self.size, self.frames)
        if kind < 0.54:
            return self.footage.flight(rng, self.size, self.frames)
        lapse = 1 if rng.random() < 0.7 else int(rng.integers(2, 7))
        return self.footage.clip(rng, self.size, self.frames, stride * lapse)

    def rolled(self, course: Course, scene: Array, masks: Array) -> tuple[Array, Array]:
        """Frames and labels as a rolling shutter reads them."""
        late = rows_late(self.rng, course.flight, course.track, self.size[0])
        frames = [roll_rows(*pair) for pair in zip(scene, late, strict=True)]
        return np.stack(frames), np.stack([roll_rows(*pair, nearest=True) for pair in zip(masks, late, strict=True)])

    def movers(self, view: View) -> list[Mover]:
        count = int(self.rng.choice([0, 0, 1, 1, 2]))
        things = [mover(self.rng, self.bank, self.size, self.frames) for _ in range(count)]
        if view.course is not None:  # some go their way over the ground, others the camera follows
            things = [carried(one, view.course.track) if self.rng.random() < 0.6 else one for one in things]
        return things

    def gas(self, scene: Array, past: Array, track: Array | None = None) -> tuple[Array, Array, Array]:
        """What one or two leaks add to the exposed grey levels, in the clip and in its past; and their opacity."""
        rng = self.rng
        depth, before = np.zeros_like(scene), np.zeros((4, *self.size), np.float32)
        for _ in range(int(rng.choice([1, 1, 1, 2]))):
            leak = draw_leak(rng, self.size, self.frames)
            clip, earlier = simulate(rng, self.bank, leak, self.size, self.frames, track=track)
            depth += clip
            before[: len(earlier)] += earlier
        opacity, past_opacity = 1 - cv2.exp(-depth), (1 - cv2.exp(-before)).mean(0)
        contrast = np.float32(np.exp(rng.uniform(np.log(0.1), np.log(0.6))) * rng.choice([1, 1, 1, -1, -1]))
        # a running camera has kept some, none or all of the mean plume out of its background
        kept = np.float32(rng.choice([0.0, rng.random(), 1.0]))
        if rng.random() < 0.5:  # the same contrast all over the view
            return contrast * opacity, kept * contrast * past_opacity, opacity
        level = float((past * past_opacity + past * 1e-4).sum() / (past_opacity + 1e-4).sum()) + contrast
        return (level - scene) * opacity, kept * (level - past) * past_opacity, opacity


def label(change: Array, known: Array | None, bar: float, track: Array | None = None) -> Array:
    """(T, H, W) uint8 from the gas's contrast (T, H, W); `known` (H, W) is what of it the background already holds, or
    None where the camera is switched on with the first frame. Gas counts where something near it changes; where the
    camera moves on a `track`, near the same place of the ground. Where a plume crosses something as bright as itself,
    what is to be seen beside it counts."""
    before = change[0] if known is None else known
    if track is None:
        changed = cv2.GaussianBlur(np.abs(change - before).max(0), (0, 0), 1.0)
        near = cv2.dilate(changed, np.ones((11, 11), np.uint8))
    else:
        near = evidence(change, before, track)
    visible = np.stack([outlined(cv2.GaussianBlur(np.abs(c), (0, 0), 1.5), bar) for c in change])
    masks = np.where(visible, np.where(near > bar, GAS, UNKNOWN), NONE).astype(np.uint8)
    if known is None:
        masks[0][visible[0]] = UNKNOWN  # nothing can have changed yet
    if track is not None:
        masks[born(track, change.shape[1:]) & visible] = UNKNOWN
    return masks


def outlined(contrast: Array, bar: float) -> Array:
    """(H, W) bool: what exceeds `bar` and is the body of its plume (8-connected) or no further than FRINGE from it."""
    visible = contrast > bar
    count, plumes = cv2.connectedComponents(visible.astype(np.uint8))
    if count == 1:
        return visible
    highest = np.zeros(count, np.float32)
    np.maximum.at(highest, plumes.ravel(), contrast.ravel())
    body = visible & (contrast > OUTLINED * highest[plumes])
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * FRINGE + 1, 2 * FRINGE + 1))
    return visible & cv2.dilate(body.astype(np.uint8), disc).astype(bool)


def stand(scene: Array, past: Array, thing: Mover, camera: Camera) -> tuple[Array, Array]:
    """Put something opaque into the clip and into its past."""
    grey = camera.expose(thing.grey)
    return scene + (grey - scene) * thing.opacity, past + (grey[0] - past) * thing.past


def preview(data: str | None, seed: int, clips: int, moving: float = 0.0) -> Array:
    """A BGR sheet: a row a clip with first, middle and last frame, the label drawn in, and the background."""
    renderer = Renderer(seed, Footage(Path(data), per_scene=1) if data else None, moving=moving)
    rows = []
    for _ in range(clips):
        clip = renderer.clip()
        tiles = []
        for t in (0, len(clip.frames) // 3, len(clip.frames) - 1):
            plain = cv2.cvtColor(clip.frames[t], cv2.COLOR_GRAY2BGR)
            drawn = plain.copy()
            outline = cv2.findContours((clip.masks[t] == GAS).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
            cv2.drawContours(drawn, outline, -1, (0, 0, 255), 1)
            tiles += [plain, drawn]
        past = clip.background if clip.background is not None else np.zeros(clip.frames.shape[1:], np.float32)
        tiles.append(cv2.cvtColor((past * 255).astype(np.uint8), cv2.COLOR_GRAY2BGR))
        rows.append(np.hstack(tiles))
    return np.vstack(rows)
