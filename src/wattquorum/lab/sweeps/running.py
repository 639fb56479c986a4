"""Running: cells in bundles, in processes of this machine, or on a cluster of Dask or Ray, through joblib.

A bundle lasts long enough that handing it over is noise, and is short enough that everybody has work and little is lost
when a run is ended. Where and in which order bundles are played decides nothing about their cells. A worker says which
code it has, and another code's cells are refused.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, Final, NamedTuple

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError

from wattquorum.foundation.refusals import Refused
from wattquorum.lab.sweeps.experiments import Value
from wattquorum.lab.sweeps.plan import Cell, Plan
from wattquorum.lab.sweeps.registry import EXPERIMENTS
from wattquorum.lab.sweeps.store import Done, code_digest
from wattquorum.simulation.workers import end_with

BUNDLE_MS: Final = 2_000.0  # about, of a processor
BUNDLE_CELLS_MAX: Final = 2_000
BUNDLE_MS_MIN: Final = 200.0
BUNDLES_EACH: Final = 4  # at least so many for each process, where that does not make them too short
LOOPBACK_ANY: Final = "127.0.0.1:0"  # where a scheduler tells of itself; without it, at a port that may be taken
WAVE_EACH: Final = 4  # bundles for each process that Ray gets at once
PATIENCE_S: Final = 10
GONE_S: Final = 60.0  # for which a cluster may have no worker at all, as while its machines start anew
LOOK_S: Final = 1.0
AGAIN: Final = "Look for what ended it, such as too little memory; run it again, and it goes on with what is missing."


class Backend(StrEnum):
    """Who plays cells."""

    LOCAL = "local"  # processes of this machine
    DASK = "dask"
    RAY = "ray"


class Where(NamedTuple):
    """On what to run."""

    backend: Backend = Backend.LOCAL
    jobs: int = -1  # processes; -1: one for each processor
    address: str | None = None  # of a cluster; none: one is begun here, for this run


class Bundle(NamedTuple):
    """Cells that are played together: number, values and luck of each."""

    cells: tuple[tuple[int, tuple[Value, ...], int], ...]
    lasts_ms: float


class Played(NamedTuple):
    """What came of a bundle."""

    bundle: int
    code: str  # of whoever played it
    cells: list[Done]


def bundles_of(plan: Plan, cells: Sequence[Cell], workers: int) -> list[Bundle]:
    """All these cells, in order, each once."""
    names = [name for name, _ in plan.axes]
    lasts = [max(plan.experiment.lasts_ms(dict(zip(names, cell.values, strict=True))), 0.001) for cell in cells]
    long = max(min(BUNDLE_MS, sum(lasts) / (BUNDLES_EACH * workers)), BUNDLE_MS_MIN)
    found: list[Bundle] = []
    held: list[tuple[int, tuple[Value, ...], int]] = []
    held_ms = 0.0
    for cell, lasting in zip(cells, lasts, strict=True):
        held.append((cell.number, cell.values, plan.luck(cell)))
        held_ms += lasting
        if held_ms >= long or len(held) == BUNDLE_CELLS_MAX:
            found.append(Bundle(tuple(held), held_ms))
            held, held_ms = [], 0.0
    return [*found, Bundle(tuple(held), held_ms)] if held else found


def played(number: int, name: str, cells: Sequence[tuple[int, tuple[Value, ...], int]]) -> Played:
    """Plays a bundle, on whichever machine this is."""
    experiment = EXPERIMENTS[name]
    return Played(number, code_digest(), [(cell, experiment.row(values, luck)) for cell, values, luck in cells])


def play(plan: Plan, cells: Sequence[Cell], where: Where) -> Iterator[tuple[list[Done], float, float]]:
    """Plays cells; yields what is done as it comes, how long it was to last, and how long all of it was.

    Raises Refused("backend_missing") where Dask or Ray is not installed, Refused("backend_failed") when its cluster
    does not answer, or has another WattQuorum.
    """
    with on(where) as workers:
        bundles = bundles_of(plan, cells, workers)
        total = sum(bundle.lasts_ms for bundle in bundles)
        order = sorted(range(len(bundles)), key=lambda place: -bundles[place].lasts_ms)  # the longest first
        tasks = [delayed(played)(place, plan.experiment.name, bundles[place].cells) for place in order]
        for done in results(tasks, where, min(workers, len(tasks))):
            check_code(done.code, where)
            yield done.cells, bundles[done.bundle].lasts_ms, total


def check_code(code: str, where: Where) -> None:
    """Refused("backend_failed") where whoever played something has other code than this process."""
    if code != code_digest():
        remedy = "Install the same version on every worker, and start them anew."
        raise Refused("backend_failed", "--backend", f"{where.backend}: a worker has other code", remedy)


def results(tasks: Sequence[Any], where: Where, workers: int) -> Iterator[Any]:
    """What joblib's tasks come to, in any order; to be asked for within `on`."""
    if where.backend is Backend.RAY:  # its backend of joblib hands results over when all are there
        wave = WAVE_EACH * workers
        for place in range(0, len(tasks), wave):
            yield from Parallel(batch_size=1)(tasks[place : place + wave])
        return
    here: dict[str, Any] = {}
    if where.backend is Backend.LOCAL and workers > 1:
        here = {"n_jobs": workers, "initializer": end_with, "initargs": (os.getpid(),)}
    elif where.backend is Backend.LOCAL:
        here = {"n_jobs": 1}
    try:
        yield from Parallel(return_as="generator_unordered", batch_size=1, **here)(tasks)
    except TerminatedWorkerError:
        raise Refused("backend_failed", "--backend", f"{where.backend}: a process was ended", AGAIN) from None


@contextmanager
def on(where: Where) -> Iterator[int]:
    """The cluster, if it is one; how many bundles are played at a time."""
    # A run that ends in the middle says why itself; of the tasks that go with it nobody needs to be told.
    warnings.filterwarnings("ignore", ".*(been cancelled|but not used)", UserWarning, "joblib")
    jobs = where.jobs if where.jobs > 0 else os.cpu_count() or 1
    if where.backend is Backend.LOCAL:
        if where.address is not None:
            raise Refused("out_of_range", "--address", where.address, "Name --backend dask or ray beside it.")
        yield jobs
    elif where.backend is Backend.DASK:
        with _dask(where.address, jobs) as workers:
            yield workers
    else:
        with _ray(where.address, jobs) as workers:
            yield workers


@contextmanager
def _dask(address: str | None, jobs: int) -> Iterator[int]:
    try:
        from distributed import Client, LocalCluster
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker
    except ImportError:
        raise _missing("dask") from None
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what it would trace is told as a refusal
    cluster = None
    try:
        if address is None:
            cluster = LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=LOOPBACK_ANY)
        client = Client(cluster or address, timeout=PATIENCE_S)
    except (OSError, ValueError) as fault:
        if cluster is not None:
            cluster.close()
        raise _unreachable("dask", address, fault) from None
    try:
        workers = sum(client.nthreads().values())
        if not workers:
            raise _unreachable("dask", address, "no worker is there")
        with parallel_config(backend="dask", client=client), _closed_when_deserted(client):
            yield workers
    except ModuleNotFoundError as fault:
        raise _unreachable("dask", address, f"a worker has no {fault.name}") from None
    except KilledWorker:
        raise Refused("backend_failed", "--backend", "dask: a worker was ended", AGAIN) from None
    except FutureCancelledError:  # by the watch below, or since the scheduler was lost
        raise Refused("backend_failed", "--backend", "dask: its workers are gone, or its scheduler", AGAIN) from None
    finally:
        client.close()
        if cluster is not None:
            cluster.close()


@contextmanager
def _closed_when_deserted(client: Any) -> Iterator[None]:
    """Closes Dask's client, which cancels what it waits for, once nobody has been heard of for long.

    Dask itself would wait for ever, and without a word.
    """
    over = threading.Event()

    def manned() -> bool:
        try:
            return bool(client.sync(client.scheduler.ncores, callback_timeout=PATIENCE_S))
        except (OSError, TimeoutError, CancelledError):
            return False

    def watch() -> None:
        seen = time.monotonic()
        while not over.wait(LOOK_S):
            if manned():
                seen = time.monotonic()
            elif time.monotonic() - seen > GONE_S:
                client.close()
                return

    watching = threading.Thread(target=watch, name="workers", daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()


@contextmanager
def _ray(address: str | None, jobs: int) -> Iterator[int]:
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError:
        raise _missing("ray") from None
    try:
        here = {"num_cpus": jobs, "include_dashboard": False} if address is None else {}
        ray.init(address=address or "local", log_to_driver=False, logging_level="error", **here)
    except (OSError, ValueError, RuntimeError) as fault:
        raise _unreachable("ray", address, fault) from None
    try:
        register_ray()
        workers = max(int(ray.cluster_resources().get("CPU", 0)), 1)
        with parallel_config(backend="ray", n_jobs=workers):
            yield workers
    finally:
        ray.shutdown()


def _missing(name: str) -> Refused:
    return Refused("backend_missing", "--backend", name, f"Install it: pip install 'wattquorum[{name}]'.")


def _unreachable(name: str, address: str | None, fault: object) -> Refused:
    remedy = "Check the address, that a scheduler and workers run there, and that they have WattQuorum installed."
    return Refused("backend_failed", "--address", f"{name} at {address or 'this machine'}: {fault}", remedy)
