"""The arguments of `fgstp-edge`: what each command takes, and what is refused before it begins."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import Any, NoReturn

from edge import __version__
from edge.errors import ConfigError

BACKENDS = ("auto", "openvino", "onnxruntime", "cuda", "tensorrt")


class Parser(argparse.ArgumentParser):
    """Mistakes on the command line end as every other mistake: in one line."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    """Of every command; what it parses names the command in `command`."""
    made = Parser(
        prog="fgstp-edge", description="Turn an optical-gas-imaging camera into a leak alarm, on the box beside it."
    )
    made.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = made.add_subparsers(metavar="COMMAND", dest="command", required=True)
    for describe in (
        _describe_segment,
        _describe_calibrate,
        _describe_run,
        _describe_demo,
        _describe_report,
        _describe_watch,
        _describe_selftest,
        _describe_doctor,
        _describe_validate,
        _describe_bench,
    ):
        describe(commands)
    return made


def _command(commands: Any, name: str, what: str, example: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        help=what,
        description=what[0].upper() + what[1:] + ".",
        epilog=f"example:\n  fgstp-edge {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return made


def _describe_segment(commands: Any) -> None:
    parser = _command(
        commands,
        "segment",
        "write masks, summaries and events of some footage",
        "segment clip.mp4 --out results --overlay",
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="video file, folder of images, rtsp:// address, or - for raw frames; several: a folder each below DIR",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to; earlier results are replaced")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="a Dask cluster's, tcp://HOST:8786, to share the work")
    parser.add_argument("--overlay", action="store_true", help="also write overlay.mp4: outline, origin, alarm state")
    parser.add_argument("--evidence", action="store_true", help="also write stills and a clip of each leak: leaks/")
    parser.add_argument("--geojson", action="store_true", help="also write flight.geojson: camera's way and leaks")
    parser.add_argument("--poses", metavar="SOURCE", help="where the camera was: flight.tlog, flight.ts (the footage)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="take geo from a device's configuration")
    parser.add_argument("--camera", type=Path, metavar="FILE", help="what calibrate wrote for this camera")
    parser.add_argument("--fps", type=_rate, help="frames a second (default: what the source says)")
    parser.add_argument("--size", type=_size, metavar="WxH", help="size of raw frames on standard input, 8-bit grey")
    _add_rendering(parser)
    _add_model(parser)


def _describe_calibrate(commands: Any) -> None:
    parser = _command(
        commands,
        "calibrate",
        "learn one camera's noise, places to exclude, threshold and smallest plume from gas-free footage",
        "calibrate monday.mp4 tuesday.mp4 --out camera.json --false-alarms-per-hour 0.1",
    )
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="gas-free: video file, folder of images, or rtsp:// with --minutes"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the camera file to write (JSON)")
    parser.add_argument(
        "--false-alarms-per-hour", type=_seconds, default=0.1, metavar="X", help="the rate to aim at (0.1)"
    )
    parser.add_argument("--minutes", type=_seconds, help="of each source at most; a live camera needs it")
    parser.add_argument("--polarity", choices=("white_hot", "black_hot"), default="white_hot", help="of the camera")
    parser.add_argument("--fps", type=_rate, help="frames a second (default: what the source says)")
    parser.add_argument("--size", type=_size, metavar="WxH", help="size of raw frames on standard input, 8-bit grey")
    _add_rendering(parser)
    _add_model(parser)


def _describe_run(commands: Any) -> None:
    parser = _command(commands, "run", "watch a camera and report over MQTT until stopped", "run --config config.yaml")
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="see config.example.yaml; SIGHUP reads it again"
    )


def _describe_demo(commands: Any) -> None:
    parser = _command(
        commands,
        "demo",
        "show the whole way on the golden clip, with a broker of its own",
        "demo --out out/demo",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out/demo"), metavar="DIR", help="for video and pictures (out/demo)"
    )


def _describe_report(commands: Any) -> None:
    parser = _command(commands, "report", "write what was found as one HTML file, and as GeoJSON", "report results")
    parser.add_argument(
        "folder",
        type=Path,
        metavar="DIR",
        help="what segment wrote, or a device's evidence; report.html goes there",
    )


def _describe_watch(commands: Any) -> None:
    parser = _command(
        commands, "watch", "show leak alarms as they arrive", "watch --host broker.local --once --seconds 60"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="take the broker from a device's configuration")
    parser.add_argument("--host", help="of the broker (localhost)")
    parser.add_argument("--port", type=_count, help="of the broker (1883)")
    parser.add_argument("--protocol", choices=("5", "3.1.1"), help="MQTT version (5)")
    parser.add_argument("--device", default="+", help="only this device (all)")
    parser.add_argument("--seconds", type=_seconds, help="stop after this time")
    parser.add_argument("--once", action="store_true", help="stop when a leak starts; exit 1 when none did")


def _describe_selftest(commands: Any) -> None:
    parser = _command(
        commands,
        "selftest",
        "compute the golden clip and compare with the golden masks",
        "selftest --backend openvino",
    )
    _add_model(parser)


def _describe_doctor(commands: Any) -> None:
    parser = _command(
        commands,
        "doctor",
        "say what this machine has and what is missing",
        "doctor --config config.yaml --full",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="also try its broker, cameras and secrets")
    parser.add_argument("--full", action="store_true", help="also compute the golden clip on every runtime here")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def _describe_validate(commands: Any) -> None:
    parser = _command(
        commands, "validate", "check a configuration or a model without running it", "validate config.yaml"
    )
    parser.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="a configuration (YAML), a ModelSpec (JSON) or its ONNX file"
    )
    parser.add_argument("--schema", action="store_true", help="print the configuration's JSON Schema, for editors")


def _describe_bench(commands: Any) -> None:
    parser = _command(
        commands, "bench", "measure frames a second of each backend and precision here", "bench --seconds 10"
    )
    parser.add_argument("--seconds", type=_seconds, default=5.0, help="per backend and precision (5)")
    parser.add_argument("--threads", type=_count, default=1, help="inference threads (1)")
    parser.add_argument("--json", action="store_true", help="a list of objects instead of a table")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="student.int8", help="a shipped model or an ONNX file (student.int8)")
    parser.add_argument(
        "--backend", choices=BACKENDS, default="auto", help="inference runtime (auto: the faster one here)"
    )
    parser.add_argument("--threads", type=_count, default=1, help="inference threads (1)")


def _add_rendering(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--palette", metavar="NAME", help="colours that the camera draws in, such as ironbow (grey)")
    parser.add_argument(
        "--range", nargs=2, type=float, metavar=("LOW", "HIGH"), help="16-bit values of black and white (percentiles)"
    )


def _size(text: str) -> tuple[int, int]:
    width, x, height = text.partition("x")
    if not (x and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"'{text}' is not WIDTHxHEIGHT in pixels, such as 320x240")
    return int(width), int(height)


def _rate(text: str) -> float:
    value = _seconds(text)
    if value > 1000:
        raise argparse.ArgumentTypeError(f"{text} frames a second are too many")
    return value


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text)) < float("inf"):
            return value
    raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)
