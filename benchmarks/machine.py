"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from benchmarks.place import Place


def facts(place: Place) -> dict[str, str]:
    """Date, processor, kernel, Python, PostgreSQL and what its durability is set to."""
    with psycopg.connect(place.conninfo(), autocommit=True) as connection:
        row = connection.execute(
            "SELECT current_setting('server_version'), current_setting('fsync'), current_setting('shared_buffers')"
        ).fetchone()
    assert row is not None
    return {
        "Date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "Processor": f"{_processor()}, {os.cpu_count()} cores",
        "Load before": ", ".join(f"{load:.1f}" for load in os.getloadavg()),
        "Kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "PostgreSQL": f"{row[0]}, fsync {row[1]}, shared_buffers {row[2]}",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
