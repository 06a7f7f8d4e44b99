"""An archive scored by a Dask cluster: the same figures as here, also when a worker is killed on the way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks import combination, evaluate
from benchmarks.evaluate import Method
from calibration.clips import Clip, GasFree
from edge import __main__, cluster
from edge.errors import ConfigError

ROOT = Path(__file__).parents[2]
START_S = 120.0  # a busy machine takes its time over so many imports


class Cluster:
    """A scheduler and two workers, as processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.started = folder, []
        file = folder / "scheduler.json"
        self.start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
        self.wait(file.is_file)
        self.wait(lambda: file.read_text().rstrip().endswith("}"))
        self.address = json.loads(file.read_text())["address"]
        common = ("--nthreads", "1", "--no-dashboard", "--no-nanny", "--local-directory", str(folder))
        self.workers = [self.start("worker", self.address, *common, "--host", "127.0.0.1") for _ in range(2)]

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{len(self.started)}.log").open("wb")
        made = subprocess.Popen([sys.executable, "-m", "dask", *command], cwd=ROOT, stdout=log, stderr=log)
        log.close()
        self.started.append(made)
        return made

    def wait(self, ready) -> None:
        until = time.monotonic() + START_S
        while not ready():
            assert time.monotonic() < until, [log.read_text() for log in sorted(self.folder.glob("*.log"))]
            assert all(one.poll() is None for one in self.started)
            time.sleep(0.05)

    def stop(self) -> None:
        for one in reversed(self.started):
            one.kill()
            one.wait()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    yield made
    made.stop()


def test_the_figures_are_those_of_one_machine_though_a_worker_is_killed(running: Cluster, tmp_path: Path) -> None:
    golden = Path(combination.golden_video(tmp_path / "golden.mp4"))
    method = Method("student.int8", "onnxruntime")
    work = [
        (evaluate.evaluate, Clip(f"clip{number}", golden, GasFree((240, 320))), method, 15 + 3 * number)
        for number in range(6)
    ]
    here = list(evaluate.run_all(work, 1))
    assert here[-1].mask.false > 0
    found = evaluate.run_all(work, 1, running.address)
    first = next(found)  # some are done, some wait, one is in hand
    running.workers[0].send_signal(signal.SIGKILL)
    running.workers[0].wait()
    there = [first, *found]
    assert [str(asdict(result)) for result in there] == [str(asdict(result)) for result in here]  # NaN is not NaN
    assert running.workers[1].poll() is None


def test_footage_is_segmented_there_too(running: Cluster, footage_video: Path, tmp_path: Path, capsys) -> None:
    """Runs on the worker that is left."""
    second = tmp_path / "second.mp4"
    second.write_bytes(footage_video.read_bytes())
    common = ["segment", str(footage_video), str(second), "--backend", "onnxruntime"]
    assert __main__.main([*common, "--out", str(tmp_path / "there"), "--scheduler", running.address]) == 0
    assert __main__.main([*common, "--out", str(tmp_path / "here")]) == 0
    assert "20 frames" in capsys.readouterr().out
    for name in (footage_video.stem, "second"):
        there, here = (sorted((tmp_path / side / name / "masks").iterdir()) for side in ("there", "here"))
        assert len(there) == 20
        assert [mask.read_bytes() for mask in there] == [mask.read_bytes() for mask in here]


def test_two_clips_of_one_name_would_overwrite_each_other(tmp_path: Path, capsys) -> None:
    assert __main__.main(["segment", "a/x.mp4", "b/x.mp4", "--out", str(tmp_path)]) == ConfigError.exit_code
    assert "two of the sources are called x" in capsys.readouterr().err


def test_where_no_scheduler_answers_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "WAIT_S", 0.2)
    with pytest.raises(ConfigError, match="no Dask scheduler answers there"):
        list(cluster.run("tcp://127.0.0.1:9", [(len, "a")]))
