"""How long does an alarm take, from the frame that decides to the broker's word that it has it (PUBACK)?

    python -m benchmarks.latency --json benchmarks/latency.json
    python -m benchmarks.latency --cameras 2 --seconds 30

The service with its real model, outbox (on disk, synced) and broker, all on this machine. The model computes every
frame of its cameras; what it finds is then replaced by a plume that comes and goes, so that there are many alarms to
time. `total` begins when the deciding frame reaches the device, `from_decision` when that frame has been computed.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from benchmarks import memory
from benchmarks.combination import percentiles
from benchmarks.table import show
from calibration import result_file
from edge import config, contract, service
from edge.channel import Channel
from edge.errors import FgstpError
from edge.mqtt import Publisher
from edge.payload import encode
from edge.records import Array, Frame, Quality, Segmentation
from edge.rules import AlarmSettings
from edge.segmenter import Segmenter
from edge.store import Message

TARGET_MS = 50.0  # p95
PERIOD = 16  # frames, of which the first half shows a plume: an alarm and its end about every second
STAGGER = 3  # frames from one camera's plume to the next one's: leaks do not begin at two cameras in one frame
# the script puts its plume over whatever the footage shows there, which need not flicker
RULES = AlarmSettings(on_delay_s=0.2, off_delay_s=0.2, update_every_s=60.0, min_flicker=0)
NO_CLIPS = config.EvidenceSettings(enabled=False)  # of an alarm every second: no device ever makes so many
CERTAIN = 6.0  # logit


class Stopwatch:
    """Times of each alarm message by its text, s on time.monotonic()."""

    def __init__(self) -> None:
        self.arrived = 0.0  # the frame that is being computed; the service computes one at a time
        self.total: list[float] = []
        self.from_decision: list[float] = []
        self._lock = threading.Lock()
        self._said: dict[bytes, tuple[float, float]] = {}  # by the message's body: arrival, decision
        self._sent: dict[int, tuple[float, float]] = {}  # by receipt
        self._early: dict[int, float] = {}  # confirmed before we learnt the receipt

    def said(self, body: bytes) -> None:
        """The frame that is being computed decided this."""
        self._said[body] = self.arrived, time.monotonic()

    def sent(self, body: bytes, receipt: int) -> None:
        """It went out under this receipt."""
        with self._lock:
            began = self._said.pop(body, None)
            if began is not None:
                self._sent[receipt] = began
            if (confirmed := self._early.pop(receipt, None)) is not None:
                self._note(receipt, confirmed)

    def confirmed(self, receipt: int) -> None:
        """The broker has it."""
        with self._lock:
            if receipt in self._sent:
                self._note(receipt, time.monotonic())
            else:
                self._early[receipt] = time.monotonic()

    def _note(self, receipt: int, confirmed: float) -> None:
        if (began := self._sent.pop(receipt, None)) is not None:
            self.total.append(confirmed - began[0])
            self.from_decision.append(confirmed - began[1])


class TimedSegmenter(Segmenter):
    """Computes every frame, then says that a plume comes and goes."""

    phase = 0  # frames

    def step(self, frame: Frame, prior: Array | None = None) -> Segmentation:
        """The real one's work, and the script's mask."""
        made = super().step(frame, prior)
        shown = (frame.index + self.phase) % PERIOD < PERIOD // 2
        mask, logits = np.zeros_like(made.mask), np.full_like(made.logits, -CERTAIN)
        if shown:
            for plane, value in ((mask, 255), (logits, CERTAIN)):
                height, width = plane.shape
                plane[height // 3 : height // 2, width // 3 : width // 2] = value
        return replace(made, mask=mask, logits=logits, quality=Quality.GOOD)


def timed(watch: Stopwatch) -> tuple[type[Channel], type[Publisher]]:
    """Channel and publisher that tell the watch."""

    class TimedChannel(Channel):
        def take(self, frame: Frame, arrived: float) -> None:
            watch.arrived = arrived
            super().take(frame, arrived)

    class TimedPublisher(Publisher):
        def publish_all(
            self,
            messages: Sequence[tuple[str, Mapping[str, Any]]],
            camera: str = "",
            save: Mapping[str, str | None] | None = None,
        ) -> None:
            for kind, payload in messages:
                if kind in ("event", "alarm_event"):
                    watch.said(encode(payload).encode())
            super().publish_all(messages, camera, save)

        def _send(self, message: Message) -> int:
            receipt = super()._send(message)
            watch.sent(message.body, receipt)
            return receipt

        def _on_publish(self, client: Any, data: Any, receipt: int, reason: Any, properties: Any) -> None:
            watch.confirmed(receipt)
            super()._on_publish(client, data, receipt, reason, properties)

    return TimedChannel, TimedPublisher


def segmenter_for(settings: config.CameraSettings, *model: Any) -> TimedSegmenter:
    """As `service.segmenter_for`."""
    made = TimedSegmenter(*model, polarity=settings.polarity, rendering=settings.rendering)
    made.phase = STAGGER * int(settings.name.removeprefix("cam"))
    return made


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure. Raises FgstpError when there is no broker or no alarm in the time given."""
    watch = Stopwatch()
    with memory.place("latency") as (folder, mqtt):
        footage = memory.recording(folder, options)
        cameras = [{"name": f"cam{number}", **footage} for number in range(1, options.cameras + 1)]
        settings = config.load(memory.write_config(folder, mqtt, options, cameras))
        watched(settings.model_copy(update={"alarm": RULES, "evidence": NO_CLIPS}), watch, options.seconds)
    if not watch.total:
        raise FgstpError("no alarm reached the broker; give more --seconds")
    spec, _ = contract.load(options.model)
    return result_file.header("latency") | {
        "model": spec.name,
        "sha256": spec.sha256,
        "cameras": options.cameras,
        "messages": len(watch.total),
        "target_p95_ms": TARGET_MS,
        "total_ms": percentiles([1000 * value for value in watch.total]),
        "from_decision_ms": percentiles([1000 * value for value in watch.from_decision]),
    }


def watched(settings: config.Config, watch: Stopwatch, seconds: float) -> None:
    """Run the service for so long under the watch."""
    stop = threading.Event()
    channel, publisher = timed(watch)
    with (
        mock.patch.object(service, "Channel", channel),
        mock.patch.object(service, "Publisher", publisher),
        mock.patch.object(service, "segmenter_for", segmenter_for),
    ):
        made = service.Service(settings, stop)
    timer = threading.Timer(seconds, stop.set)
    timer.start()
    try:
        made.run()
    finally:
        timer.cancel()


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--cameras", type=int, default=4)
    add("--seconds", type=float, default=120.0)
    add("--source", help="a recording, best 320x240 (default: the golden clip)")
    add("--model", default="student.int8")
    add("--backend", default="auto")
    add("--json", type=Path, help="write the result here")
    options = parser.parse_args(argv)
    options.skip_self_test = True
    try:
        result = run(options)
        figures = [[what, *result[f"{what}_ms"].values()] for what in ("total", "from_decision")]
        print(show(["ms", "p50", "p95", "p99"], figures))
        print(f"{result['messages']} messages; the target is a p95 of {TARGET_MS:g} ms in total")
        if options.json:
            result_file.write(options.json, result)
    except FgstpError as error:
        print(f"benchmarks.latency: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
