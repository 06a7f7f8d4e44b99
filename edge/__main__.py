"""The command line, `fgstp-edge`. Every import that costs time waits for the command that needs it."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edge import arguments
from edge.errors import ConfigError, FgstpError

if TYPE_CHECKING:
    from edge.rendering import Rendering
    from edge.uplink import MqttSettings
    from edge.vantage import GeoSettings


def main(argv: list[str] | None = None) -> int:
    """Run one command; gives its exit code (0, 1, 130, or that of `edge.errors`)."""
    try:
        options = arguments.parser().parse_args(argv)
        code = COMMANDS[options.command](options)
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
    from edge import config, uplink

    settings = config.load(options.config).mqtt if options.config else uplink.MqttSettings()
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


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "segment": _segment,
    "calibrate": _calibrate,
    "run": _run,
    "demo": _demo,
    "report": _report,
    "watch": _watch,
    "selftest": _selftest,
    "doctor": _doctor,
    "validate": _validate,
    "bench": _bench,
}


if __name__ == "__main__":
    sys.exit(main())
