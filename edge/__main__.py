"""The command line, `fgstp-edge`. Every import that costs time waits for the command that needs it."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from edge import __version__
from edge.errors import ConfigError, FgstpError

if TYPE_CHECKING:
    from edge.config import MqttSettings
    from edge.rendering import Rendering
    from edge.vantage import GeoSettings

BACKENDS = ("auto", "openvino", "onnxruntime", "cuda", "tensorrt")


def main(argv: list[str] | None = None) -> int:
    """Run one command; gives its exit code (0, 1, 130, or that of `edge.errors`)."""
    try:
        options = _parser().parse_args(argv)
        code: int = options.command(options)
        sys.stdout.flush()
        return code
    except FgstpError as error:
        for line in error.lines:
            print(f"fgstp-edge: {line}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `… | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _segment(options: argparse.Namespace) -> int:
    from edge import camera
    from edge.segment import segment, segment_many

    if options.geojson and len(options.sources) > 1:
        raise ConfigError("--geojson: one piece of footage at a time, since each has its own poses")
    how: dict[str, Any] = {
        "model": options.model,
        "backend": options.backend,
        "threads": options.threads,
        "with_overlay": options.overlay,
        "fps": options.fps,
        "size": options.size,
        "rendering": _rendering(options),
        "calibration": camera.load(options.camera) if options.camera else None,
        "geo": _geo(options),
        "with_evidence": options.evidence,
    }
    if len(options.sources) == 1 and options.scheduler is None:
        outcomes = iter([segment(options.sources[0], options.out, **how)])
    else:
        outcomes = segment_many(options.sources, options.out, options.scheduler, **how)
    for outcome in outcomes:
        print(f"{outcome.frames} frames, {outcome.leaks} leak event{'s' * (outcome.leaks != 1)}: {outcome.out}")
    return 0


def _geo(options: argparse.Namespace) -> GeoSettings | None:
    """Where the camera was: as a device's configuration says, else by the poses that the footage itself carries."""
    from edge import config
    from edge.vantage import GeoSettings

    if not options.geojson:
        return None
    if options.config is None:
        return GeoSettings(poses=options.poses or options.sources[0])
    found = next((camera.geo for camera in config.load(options.config).cameras if camera.geo), None)
    if found is None:
        raise ConfigError(f"{options.config}: no camera in it has a geo section; see config.example.yaml")
    return found.model_copy(update={"poses": options.poses, "fixed": None}) if options.poses else found


def _rendering(options: argparse.Namespace) -> Rendering:
    from edge import palette
    from edge.rendering import Range, Rendering

    if options.range and not options.range[0] < options.range[1]:
        raise ConfigError(f"--range {options.range[0]:g} {options.range[1]:g}: the first must be below the second")
    return Rendering(
        palette.check(options.palette) if options.palette else None, Range(*options.range) if options.range else None
    )


def _run(options: argparse.Namespace) -> int:
    import logging
    import threading

    from edge import service, supervised
    from edge.reload import Reread

    supervised.start_log()
    starts, stop = supervised.Starts(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    file = Reread(options.config)
    watched = _has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN  # not so under nohup

    def hangup(*_: object) -> None:
        if watched and not _has_terminal():  # somebody has closed the window that we were started in
            stop.set()
        else:
            file.ask()

    signal.signal(signal.SIGHUP, hangup)
    settings = file.read()
    if (wait := starts.begin()) > 0:
        logging.getLogger("run").warning("started too often of late: waiting %.0f s", wait)
        stop.wait(wait)
    service.run(settings, stop, file)
    if stop.is_set():
        starts.over()
    return 0


def _has_terminal() -> bool:
    with contextlib.suppress(OSError):
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
        return True
    return False


def _calibrate(options: argparse.Namespace) -> int:
    from edge import site

    made = site.calibrate_sources(
        options.sources,
        options.false_alarms_per_hour,
        model=options.model,
        backend=options.backend,
        threads=options.threads,
        polarity=options.polarity,
        rendering=_rendering(options),
        fps=options.fps,
        size=options.size,
        minutes=options.minutes,
    )
    made.save(options.out)
    print(site.report(made))
    print(f"wrote {options.out}")
    return 0


def _report(options: argparse.Namespace) -> int:
    from edge import report

    page, flight = report.write(options.folder)
    found = f"{len(flight.incidents)} incident{'s' * (len(flight.incidents) != 1)}"
    print(f"{found}, {len(flight.leaks)} leak event{'s' * (len(flight.leaks) != 1)}: {page}")
    return 0


def _demo(options: argparse.Namespace) -> int:
    from edge.demo import demo

    return demo(options.out)


def _watch(options: argparse.Namespace) -> int:
    import time

    from edge.watch import Board, watch

    deadline = None if options.seconds is None else time.monotonic() + options.seconds

    def over(board: Board) -> bool:
        return bool(options.once and board.leaks) or (deadline is not None and time.monotonic() >= deadline)

    board = watch(_broker(options), device=options.device, until=over)
    return int(bool(options.once and not board.leaks))


def _broker(options: argparse.Namespace) -> MqttSettings:
    from edge import config

    settings = config.load(options.config).mqtt if options.config else config.MqttSettings()
    named = {"host": options.host, "port": options.port, "protocol": options.protocol}
    return settings.model_copy(update={key: value for key, value in named.items() if value is not None})


def _selftest(options: argparse.Namespace) -> int:
    from edge import selftest

    return selftest.main(options.model, options.backend, options.threads)


def _doctor(options: argparse.Namespace) -> int:
    from edge.doctor import doctor

    return doctor(options.config, options.full, options.json)


def _validate(options: argparse.Namespace) -> int:
    from edge import camera, config, contract

    if options.schema:
        print(config.schema())
        return 0
    if options.file is None:
        raise ConfigError("validate: name a FILE to check, or give --schema; see fgstp-edge validate --help")
    if options.file.suffix in (".json", ".onnx"):
        spec, path = contract.load(options.file)
        print(f"{path}: {spec.name}, {spec.precision}, sha256 and tensors as its ModelSpec says")
        return 0
    settings = config.load(options.file)
    spec, _ = contract.load(settings.model.name)
    for one in settings.cameras:
        if one.calibration:
            camera.load(one.calibration).check_model(spec, one.polarity)
    watched = f"{len(settings.cameras)} camera{'s' * (len(settings.cameras) != 1)}"
    facts = f"device {settings.device}, {watched}, model {spec.name}, config hash {settings.hash[:12]}"
    print(f"{options.file}: valid; {facts}")
    return 0


def _bench(options: argparse.Namespace) -> int:
    from edge import bench

    return bench.main(options.seconds, options.threads, options.json)


class _Parser(argparse.ArgumentParser):
    """Mistakes on the command line end as every other mistake: in one line."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="fgstp-edge", description="Turn an optical-gas-imaging camera into a leak alarm, on the box beside it."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
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
    return parser


def _command(
    commands: Any, name: str, function: Callable[[argparse.Namespace], int], what: str, example: str
) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        help=what,
        description=what[0].upper() + what[1:] + ".",
        epilog=f"example:\n  fgstp-edge {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.set_defaults(command=function)
    return made


def _describe_segment(commands: Any) -> None:
    parser = _command(
        commands,
        "segment",
        _segment,
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
        _calibrate,
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
    parser = _command(
        commands, "run", _run, "watch a camera and report over MQTT until stopped", "run --config config.yaml"
    )
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="see config.example.yaml; SIGHUP reads it again"
    )


def _describe_demo(commands: Any) -> None:
    parser = _command(
        commands,
        "demo",
        _demo,
        "show the whole way on the golden clip, with a broker of its own",
        "demo --out out/demo",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out/demo"), metavar="DIR", help="for video and pictures (out/demo)"
    )


def _describe_report(commands: Any) -> None:
    parser = _command(
        commands, "report", _report, "write what was found as one HTML file, and as GeoJSON", "report results"
    )
    parser.add_argument(
        "folder",
        type=Path,
        metavar="DIR",
        help="what segment wrote, or a device's evidence; report.html goes there",
    )


def _describe_watch(commands: Any) -> None:
    parser = _command(
        commands, "watch", _watch, "show leak alarms as they arrive", "watch --host broker.local --once --seconds 60"
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
        _selftest,
        "compute the golden clip and compare with the golden masks",
        "selftest --backend openvino",
    )
    _add_model(parser)


def _describe_doctor(commands: Any) -> None:
    parser = _command(
        commands,
        "doctor",
        _doctor,
        "say what this machine has and what is missing",
        "doctor --config config.yaml --full",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="also try its broker, cameras and secrets")
    parser.add_argument("--full", action="store_true", help="also compute the golden clip on every runtime here")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def _describe_validate(commands: Any) -> None:
    parser = _command(
        commands, "validate", _validate, "check a configuration or a model without running it", "validate config.yaml"
    )
    parser.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="a configuration (YAML), a ModelSpec (JSON) or its ONNX file"
    )
    parser.add_argument("--schema", action="store_true", help="print the configuration's JSON Schema, for editors")


def _describe_bench(commands: Any) -> None:
    parser = _command(
        commands, "bench", _bench, "measure frames a second of each backend and precision here", "bench --seconds 10"
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


if __name__ == "__main__":
    sys.exit(main())
