"""Footage for which one box is too small: work on a Dask cluster that stands already (extra "cluster").

    dask scheduler                                              on one machine
    dask worker tcp://HOST:8786 --nthreads 1 --nworkers 2       on each, with this package and the footage in place

A worker that dies loses nothing: what it held is computed again by the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from edge.errors import ConfigError

WAIT_S = 30.0  # for the scheduler to answer, and for a first worker


def run(address: str, work: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
    """Results of (function, *arguments) calls, in their order. Raises ConfigError where there is no such cluster, and
    what a call raises."""
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError("--scheduler: Dask is not installed; pip install 'fgstp-edge[cluster]'") from error
    try:
        client = Client(address, timeout=WAIT_S)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--scheduler {address}: no Dask scheduler answers there; start one: dask scheduler"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=WAIT_S)
        except TimeoutError as error:
            raise ConfigError(f"--scheduler {address}: it has no workers; start some: dask worker {address}") from error
        if any(one["nthreads"] != 1 for one in client.scheduler_info(n_workers=-1)["workers"].values()):
            # a segmenter belongs to one thread, and a task uses one core
            raise ConfigError(f"--scheduler {address}: workers must have one thread each: dask worker --nthreads 1")
        futures = [client.submit(function, *arguments, pure=False) for function, *arguments in work]
        for future in futures:
            yield future.result()
