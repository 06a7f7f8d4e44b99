"""Does `fgstp-edge run` with many cameras stay as it is for hours: memory, open files, threads, speed?

    python -m benchmarks.soak --json benchmarks/soak.json
    python -m benchmarks.soak --cameras 2 --minutes 1 --settle 20 --every 2

Starts a broker and the real service on recordings at camera rate, over and over, and looks at it from outside every
`--every` seconds. The slope of its memory is fitted to what comes after the first `--settle` seconds.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import memory
from benchmarks.table import show
from calibration import result_file
from edge import contract
from edge.errors import FgstpError
from edge.uplink import MqttSettings

MOST_MB_PER_H = 1.0  # what the memory of a service that runs for months may grow by


@dataclass(frozen=True, slots=True)
class Sample:
    """The service at one moment."""

    uptime_s: float
    rss_mb: float  # 1e6 bytes
    fds: int  # open files and sockets
    threads: int
    frames: int  # all cameras
    dropped: int  # all cameras
    fps: float  # of the slowest camera
    latency_p95_ms: float | None  # of the slowest camera
    waiting: int  # messages in the outbox


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure. Raises FgstpError when there is no broker or the service stops early."""
    with memory.place("soak") as (folder, settings):
        footage = memory.recording(folder, options)
        cameras = [{"name": f"cam{number}", **footage} for number in range(1, options.cameras + 1)]
        config = memory.write_config(folder, settings, options, cameras, options.every)
        samples, backend = watch(config, settings, 60 * options.minutes)
    spec, _ = contract.load(options.model)
    return result_file.header("soak") | {
        "model": spec.name,
        "sha256": spec.sha256,
        "backend": backend,
        "cameras": options.cameras,
        "settle_s": options.settle,
        **verdict(samples, options.settle),
        "samples": [asdict(sample) for sample in memory.thinned(samples, 200)],
    }


def verdict(samples: Sequence[Sample], settle_s: float) -> dict[str, Any]:
    """What the samples show. Raises FgstpError where fewer than two are left after `settle_s`."""
    settled = [sample for sample in samples if sample.uptime_s >= settle_s]
    if len(settled) < 2:
        raise FgstpError(f"nothing left after the first {settle_s:g} s; give more --minutes or less --settle")
    first, last = settled[0], settled[-1]
    delays = [sample.latency_p95_ms for sample in settled if sample.latency_p95_ms is not None]
    return {
        "hours": last.uptime_s / 3600,
        "frames": last.frames,
        "dropped": last.dropped,
        "rss_mb": {"first": first.rss_mb, "last": last.rss_mb, "peak": max(sample.rss_mb for sample in samples)},
        "slope_mb_per_h": 3600 * memory.gradient([(sample.uptime_s, sample.rss_mb) for sample in settled]),
        "fds": {"first": first.fds, "last": last.fds},
        "threads": {"first": first.threads, "last": last.threads},
        "fps_least": min(sample.fps for sample in settled),
        "latency_p95_ms_worst": max(delays, default=float("nan")),
    }


def watch(config: Path, settings: MqttSettings, seconds: float) -> tuple[list[Sample], str]:
    """A sample at every health message for so long; the backend in use."""
    samples: list[Sample] = []
    with memory.health(settings) as reports, memory.running(config) as service:
        while not samples or samples[-1].uptime_s < seconds:
            report = memory.next_report(reports, service)
            if any(camera["frames"] == 0 for camera in report["cameras"].values()):
                continue  # not all of them have begun
            samples.append(look(service.pid, report))
            minutes, size = samples[-1].uptime_s / 60, samples[-1].rss_mb
            print(f"\r{minutes:.1f} min, {size:.0f} MB", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        return samples, report["backend"]


def look(pid: int, report: Mapping[str, Any]) -> Sample:
    """The process as the kernel sees it, with what it says of itself. Raises FgstpError when it has ended."""
    cameras = report["cameras"].values()
    delays = [camera["latency_p95_ms"] for camera in cameras if camera["latency_p95_ms"] is not None]
    try:
        fds, threads = (len(os.listdir(f"/proc/{pid}/{kind}")) for kind in ("fd", "task"))
    except OSError as error:
        raise FgstpError(f"process {pid} has ended; its own message is above") from error
    return Sample(
        uptime_s=report["uptime_s"],
        rss_mb=memory.resident(pid, "VmRSS"),
        fds=fds,
        threads=threads,
        frames=sum(camera["frames"] for camera in cameras),
        dropped=sum(camera["dropped"] for camera in cameras),
        fps=min(camera["fps"] for camera in cameras),
        latency_p95_ms=max(delays, default=None),
        waiting=report["outbox"]["depth"],
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--cameras", type=int, default=8)
    add("--minutes", type=float, default=120.0)
    add("--every", type=float, default=10.0, help="seconds between two looks (default: 10)")
    add("--settle", type=float, default=600.0, help="seconds before the slope counts (default: 600)")
    add("--source", help="a recording, best 320x240 (default: the golden clip)")
    add("--model", default="student.int8")
    add("--backend", default="auto")
    add("--skip-self-test", action="store_true", help="for a model that the golden masks are not made for")
    add("--json", type=Path, help="write the result here")
    options = parser.parse_args(argv)
    try:
        result = run(options)
        print(show(["what", "first", "last"], rows(result)))
        growth = result["slope_mb_per_h"]
        print(f"memory grows by {growth:.2f} MB/h; {MOST_MB_PER_H:g} may be")
        if options.json:
            result_file.write(options.json, result)
    except FgstpError as error:
        print(f"benchmarks.soak: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def rows(result: Mapping[str, Any]) -> list[list[str]]:
    """The figures that must not grow."""
    names = {"rss_mb": "memory, MB", "fds": "open files", "threads": "threads"}
    return [[name, f"{result[key]['first']:.6g}", f"{result[key]['last']:.6g}"] for key, name in names.items()]


if __name__ == "__main__":
    sys.exit(main())
