"""What a data directory's control file says, by pg_controldata: it needs no server."""

from dataclasses import dataclass
from pathlib import Path

from howdah.domain.errors import HowdahError
from howdah.postgres.programs import Programs


@dataclass(frozen=True)
class ControlData:
    """The parameters that a server recovering this data must not fall short of, and the size of a WAL segment."""

    segment_size: int
    timeline: int
    max_connections: int
    max_worker_processes: int
    max_wal_senders: int
    max_prepared_transactions: int
    max_locks_per_transaction: int


_LINES = {
    "segment_size": "Bytes per WAL segment",
    "timeline": "Latest checkpoint's TimeLineID",
    "max_connections": "max_connections setting",
    "max_worker_processes": "max_worker_processes setting",
    "max_wal_senders": "max_wal_senders setting",
    "max_prepared_transactions": "max_prepared_xacts setting",
    "max_locks_per_transaction": "max_locks_per_xact setting",
}


def read_control_data(programs: Programs, data: Path) -> ControlData:
    """Of the data directory `data`. Raises `backup_damaged` where its control file can't be read."""
    result = programs.run("pg_controldata", f"--pgdata={data}")
    said = dict(line.split(":", 1) for line in result.output.splitlines() if ":" in line)
    try:
        # A control file whose checksum is wrong is only warned about.
        if result.status != 0 or "CRC" in result.output + result.errors:
            raise ValueError
        return ControlData(**{field: int(said[line]) for field, line in _LINES.items()})
    except (KeyError, ValueError):
        raise HowdahError(
            "backup_damaged",
            f"the control file of {data} is damaged",
            detail=result.last_words or None,
            hint="Take another backup.",
        ) from None
