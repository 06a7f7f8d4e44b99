"""How many cameras does one box carry? Throughput, delay, memory and fairness of the real service; cost against pixels.

    python -m benchmarks.scale --json benchmarks/scale.json
    python -m benchmarks.scale --only cameras --cameras 1 --cameras 8 --threads 1 --seconds 10

The service is a process of its own with a broker beside it, held to as many cores as it has threads. `cameras`: each
plays the golden clip from plain images as fast as it is taken, so that the box is full; memory per camera is the slope
of a line, with five seconds of pictures before an event held as JPEG (an image folder needs no decoder). `paced`: so
many cameras at so many frames a second on one core; a frame that two others overtake before it is taken is dropped.
`pixels`: the network exported for other inputs with random weights (extra "train"), pictures of the same size.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import combination, fit, memory, untrained
from benchmarks.combination import Combination
from benchmarks.table import show
from calibration import result_file
from edge import contract
from edge.errors import FgstpError
from edge.uplink import MqttSettings

FPS = 25.0  # of the cameras
FULL = 150  # frames after which the pictures before an event fill their five seconds
PIXELS = ("160x128", "320x240", "640x512", "1280x1024")  # multiples of 16, which 160x120 is not
PARTS = ("cameras", "paced", "pixels")


@dataclass(frozen=True, slots=True)
class Look:
    """The service at one moment; lists have one entry a camera."""

    uptime_s: float
    rss_mb: float  # 1e6 bytes
    frames: tuple[int, ...]
    dropped: tuple[int, ...]
    p50_ms: tuple[float, ...]  # from a frame's arrival to the end of its work
    p95_ms: tuple[float, ...]


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what is asked for. Raises FgstpError."""
    spec, _ = contract.load(options.model)
    result = result_file.header("scale") | {"model": spec.name, "sha256": spec.sha256, "load_average": os.getloadavg()}
    if "cameras" in options.only:
        kinds = [(cameras, threads) for threads in options.threads for cameras in options.cameras]
        rows = typical([[load(*kind, options) for kind in kinds] for _ in range(options.rounds)])
        result["cameras"] = {"rows": rows, "mb_per_camera": per_camera(rows)}
    if "paced" in options.only:
        result["paced"] = paced(options)
    if "pixels" in options.only:
        result["pixels"] = pixels(options)
    return result


def load(cameras: int, threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """So many cameras, all as fast as they are taken."""
    first, last, backend = watch(cameras, threads, options, options.seconds, {"realtime": False})
    return {"cameras": cameras, "threads": threads, "backend": backend, **figures(first, last)}


def typical(rounds: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Of each combination the round with the median throughput, and how that compares with the fewest cameras in the
    same round: a machine that others use may be a fifth slower a minute later."""
    rows = []
    for at, first in enumerate(rounds[0]):
        alone = next(i for i, one in enumerate(rounds[0]) if one["threads"] == first["threads"])
        runs = sorted((one[at] for one in rounds), key=lambda row: row["fps"])
        shares = [one[at]["fps"] / one[alone]["fps"] for one in rounds]
        rows.append({**runs[len(runs) // 2], "rounds": len(runs), "against_fewest": statistics.median(shares)})
    return rows


def paced(options: argparse.Namespace) -> dict[str, Any]:
    """Cameras at their own pace on one core."""
    first, last, backend = watch(options.paced, 1, options, options.paced_seconds, {"realtime": True})
    dropped = sum(last.dropped) - sum(first.dropped)
    return {"cameras": options.paced, "camera_fps": FPS, "backend": backend, "dropped": dropped} | figures(first, last)


def figures(first: Look, last: Look) -> dict[str, Any]:
    """What happened between two looks."""
    done = [after - before for before, after in zip(first.frames, last.frames, strict=True)]
    seconds = last.uptime_s - first.uptime_s
    return {
        "seconds": seconds,
        "fps": sum(done) / seconds,
        "fairness": min(done) / max(done) if max(done) else float("nan"),
        "latency_p50_ms": max(last.p50_ms),
        "latency_p95_ms": max(last.p95_ms),
        "rss_mb": last.rss_mb,
    }


def per_camera(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """MB of each further camera, by the runs with the fewest threads; None of a single run."""
    chosen = [row for row in rows if row["threads"] == rows[0]["threads"]]
    if len({row["cameras"] for row in chosen}) < 2:
        return None
    return memory.gradient([(row["cameras"], row["rss_mb"]) for row in chosen])


def watch(
    cameras: int, threads: int, options: argparse.Namespace, seconds: float, pace: Mapping[str, Any]
) -> tuple[Look, Look, str]:
    """The service once all cameras have their buffers full, and `seconds` later; the backend in use."""
    with memory.place("scale") as (folder, settings):
        footage = memory.recording(folder, options) | {"fps": FPS} | dict(pace)
        chosen = [{"name": f"cam{number}", **footage} for number in range(1, cameras + 1)]
        config = memory.write_config(folder, settings, options, chosen, 1.0, threads)
        return between(config, settings, threads, seconds)


def between(config: Path, settings: MqttSettings, threads: int, seconds: float) -> tuple[Look, Look, str]:
    """Two looks at a service held to `threads` cores. Raises FgstpError when it ends early."""
    with memory.health(settings) as reports, contextlib.ExitStack() as stack:
        with held_to(threads):
            service = stack.enter_context(memory.running(config))
        first: Look | None = None
        while True:
            report = memory.next_report(reports, service)
            if any(camera["frames"] < FULL for camera in report["cameras"].values()):
                continue
            seen = look(report, memory.resident(service.pid, "VmRSS"))
            first = first or seen
            if seen.uptime_s - first.uptime_s >= seconds:
                print(f"{len(seen.frames)} cameras: {sum(seen.frames)} frames, {seen.rss_mb:.0f} MB", file=sys.stderr)
                return first, seen, report["backend"]


def look(report: Mapping[str, Any], rss_mb: float) -> Look:
    """A health message as figures."""
    cameras = report["cameras"].values()
    columns = (tuple(one[key] for one in cameras) for key in ("frames", "dropped", "latency_p50_ms", "latency_p95_ms"))
    return Look(report["uptime_s"], rss_mb, *columns)


@contextlib.contextmanager
def held_to(cores: int) -> Iterator[None]:
    """What is started here inherits the last `cores` cores of this process."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(mine)[-cores:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


def pixels(options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a frame of the same network at several sizes of its input, one thread."""
    with tempfile.TemporaryDirectory(prefix="fgstp-scale-") as folder:
        combinations = []
        for size in options.pixels:
            width, height = map(int, size.split("x"))
            [path] = untrained.make("small", (width, height), Path(folder) / size, [options.precision])
            combinations.append(Combination("native", str(path), options.on, source=size))
        for _ in range(options.rounds):
            for one in combinations:
                source = combination.golden_video(Path(folder) / f"{one.source}.mp4", one.source)
                combination.measure(one, source, dict(os.environ), options)
                print(f"{one.source}: {one.rounds[-1]:.2f} ms", file=sys.stderr)
        rows = [row(one) for one in combinations]
    found = fit.line([one["pixels"] for one in rows], [one["ms"] for one in rows])
    return {"precision": options.precision, "backend": options.on, "weights": "random", "rows": rows, **asdict(found)}


def row(one: Combination) -> dict[str, Any]:
    """One size."""
    width, height = map(int, one.source.split("x"))
    return {
        "size": one.source,
        "pixels": width * height,
        "ms": combination.percentiles(one.stages["end_to_end"])["p50"],
    }


def print_report(result: Mapping[str, Any]) -> None:
    """All that was measured, as tables."""
    if found := result.get("cameras"):
        heads = ["cameras", "threads", "frames/s", "to fewest", "p50 ms", "p95 ms", "fairness", "MB"]
        keys = ("threads", "fps", "against_fewest", "latency_p50_ms", "latency_p95_ms", "fairness", "rss_mb")
        print(show(heads, [[str(one["cameras"]), *(one[key] for key in keys)] for one in found["rows"]]))
        if found["mb_per_camera"] is not None:
            print(f"each further camera: {found['mb_per_camera']:.1f} MB")
    if found := result.get("paced"):
        print(
            f"{found['cameras']} cameras at {found['camera_fps']:g} frames/s on one core for {found['seconds']:.0f} s: "
            f"{found['dropped']} dropped, {found['fps']:.1f} frames/s, p95 {found['latency_p95_ms']:.1f} ms"
        )
    if found := result.get("pixels"):
        print(show(["input", "pixels", "ms"], [[one["size"], one["pixels"], one["ms"]] for one in found["rows"]]))
        print(
            f"ms = {found['base']:.2f} + {1e6 * found['slope']:.2f} per million pixels, R2 {found['r2']:.4f}; "
            f"ms ~ pixels^{found['exponent']:.2f}"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--only", action="append", choices=PARTS, help="repeat (default: all)")
    add("--cameras", action="append", type=int, help="repeat (default: 1, 2, 4, 8, 16)")
    add("--threads", action="append", type=int, help="repeat (default: 1, and 2 where there are two cores)")
    add("--seconds", type=float, default=10.0, help="of each run, once its buffers are full")
    add("--paced", type=int, default=8, help=f"cameras at {FPS:g} frames/s on one core")
    add("--paced-seconds", type=float, default=60.0)
    add("--pixels", action="append", metavar="WxH", help=f"of the input; repeat (default: {', '.join(PIXELS)})")
    add("--precision", choices=("int8", "fp32"), default="int8", help="of the network for --pixels")
    add("--on", default="openvino", help="backend for --pixels")
    add("--rounds", type=int, default=3, help="in turns, for --cameras and --pixels")
    add("--frames", type=int, default=60, help="for --pixels, timed in each round")
    add("--burn-in", type=int, default=15, help="for --pixels, before them")
    add("--source", help="a recording for the cameras, best 320x240 (default: the golden clip)")
    add("--model", default="student.int8")
    add("--backend", default="auto", help="of the service")
    add("--skip-self-test", action="store_true", help="for a model that the golden masks are not made for")
    add("--json", type=Path, help="write the result here")
    options = parser.parse_args(argv)
    options.only = options.only or PARTS
    options.cameras = options.cameras or [1, 2, 4, 8, 16]
    options.threads = options.threads or list(range(1, 1 + min(2, len(os.sched_getaffinity(0)))))
    options.pixels = options.pixels or list(PIXELS)
    try:
        result = run(options)
        print_report(result)
        if options.json:
            result_file.write(options.json, result)
    except FgstpError as error:
        print(f"benchmarks.scale: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
