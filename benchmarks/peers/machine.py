"""The machine: what it is, and what others did on it while something was measured.

Processor time that went into neither this process nor those that it started and waited for, nor into the kernel's own
threads, went into something else. So whatever is measured has to start and to end its processes within the measurement.
"""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")
TICKS: Final = os.sysconf("SC_CLK_TCK")
CORES: Final = os.cpu_count() or 1
KERNEL: Final = "2"  # the parent of the kernel's threads


def _busy_s() -> float:
    """All cores' time that was not idle since the machine was started [s]."""
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def _kernel_s() -> float:
    """What of it went into the kernel's own threads [s]."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if fields[1] == KERNEL:
                total += int(fields[11]) + int(fields[12])
    return total / TICKS


def own_s() -> float:
    """What of it went into this process and those that it has waited for [s]."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def others_percent(busy_s: float, ours_s: float, passed_s: float, cores: int = CORES) -> float:
    """What part of all cores' time was neither idle nor ours [%]."""
    return round(max(0.0, 100 * (busy_s - ours_s) / (cores * passed_s)), 1)


def watched(work: Callable[[], T]) -> tuple[T, float]:
    """What some work gives, and how much of all cores others used meanwhile [%]."""
    began, busy, ours = time.perf_counter(), _busy_s(), own_s() + _kernel_s()
    found = work()
    ours, busy = own_s() + _kernel_s() - ours, _busy_s() - busy
    return found, others_percent(busy, ours, time.perf_counter() - began)


def described() -> dict[str, str]:
    """What is measured on."""
    model = ""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    try:
        loop = f"uvloop {version('uvloop')}"
    except PackageNotFoundError:
        loop = "asyncio's own loop"
    return {
        "machine": f"{CORES} cores ({model}), {memory} GiB, Linux {platform.release()}",
        "python": f"{platform.python_version()}, {loop}",
    }
