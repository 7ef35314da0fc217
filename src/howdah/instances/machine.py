"""How big this machine is, and what PostgreSQL gets of it."""

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

MB = 1024 * 1024


def memory_bytes(cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Memory that may be used: the machine's, or what the control group (a container, a unit) allows if less."""
    limits = [psutil.virtual_memory().total]
    limits += _limits(cgroups, "memory.max", _own_group(""))
    limits += _limits(cgroups / "memory", "memory.limit_in_bytes", _own_group("memory"))
    return min(limits)


def _own_group(controller: str) -> str:
    """Our control group for a version 1 controller, or version 2's for an empty name."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "/"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(",") and (controller or not controllers):
            return path
    return "/"


def _limits(mount: Path, name: str, group: str) -> list[int]:
    # A limit of any group above ours holds for us; in a container our path may not exist below the mount, whose
    # root then is our own group.
    found: list[int] = []
    place = mount / group.lstrip("/")
    for folder in (place, *place.parents):
        try:
            text = (folder / name).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            text = ""
        if text.isdigit() and int(text) > 0:
            found.append(int(text))
        if folder == mount:
            break
    return found


@dataclass(frozen=True)
class Sizing:
    """Memory settings in MB, and the number of connections."""

    shared_buffers: int
    effective_cache_size: int
    maintenance_work_mem: int
    work_mem: int
    max_connections: int


def sizing(memory: int) -> Sizing:
    """The formula, for `memory` bytes.

    | setting | value | at least | at most |
    |---|---|---|---|
    | shared_buffers | a quarter | 64 MB | 16 GB |
    | effective_cache_size | two thirds | 128 MB | |
    | maintenance_work_mem | a 24th (several autovacuum workers may each take it) | 32 MB | 1 GB |
    | max_connections | one for each 20 MB (a backend holds about 4) | 100 | 500 |
    | work_mem | what shared_buffers leaves, over 4 for each connection | 4 MB | 64 MB |
    """
    total = memory // MB
    buffers = _between(64, total // 4, 16 * 1024)
    connections = _between(100, total // 20, 500)
    return Sizing(
        shared_buffers=buffers,
        effective_cache_size=max(128, total * 2 // 3),
        maintenance_work_mem=_between(32, total // 24, 1024),
        work_mem=_between(4, (total - buffers) // (connections * 4), 64),
        max_connections=connections,
    )


def _between(least: int, value: int, most: int) -> int:
    return max(least, min(value, most))


def cores() -> int:
    """Processors we may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
