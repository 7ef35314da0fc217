"""What backups are taken of: a server, and how its WAL comes here."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from howdah.domain.home import Home
from howdah.domain.names import HOME_INSTANCE
from howdah.instances.binaries import Binaries
from howdah.instances.copies import Original
from howdah.instances.embedded import EmbeddedServer
from howdah.instances.releases import ServerVersion
from howdah.instances.spool import Spool
from howdah.postgres.archiver import read_archiver
from howdah.postgres.connections import Connection, Connector
from howdah.postgres.probe import system_identifier
from howdah.postgres.programs import Programs, ServiceUser
from howdah.services.core import Instance

_MARK = "SELECT pg_create_restore_point(%s)::text, clock_timestamp()"
# In bytes (MAXFNAMELEN).
_LONGEST_LABEL = 63


class Source(Original, Protocol):
    """A server that is backed up continuously. `programs` reach it by `conninfo`; its WAL arrives in `spool`."""

    @property
    def name(self) -> str: ...
    @property
    def connector(self) -> Connector: ...
    @property
    def version(self) -> ServerVersion: ...
    @property
    def programs(self) -> Programs: ...
    @property
    def spool(self) -> Spool: ...
    @property
    def conninfo(self) -> str: ...

    @property
    def no_increments(self) -> str | None:
        """Why no incremental backup of it can be taken, if so."""
        ...

    def session(self) -> AbstractContextManager[Connection]:
        """A control connection. Raises what `Instance.session` raises."""
        ...

    def identify(self) -> tuple[int, int]:
        """Its system identifier, and the size of its WAL segments in bytes. Raises HowdahError `server_down`."""
        ...

    def start(self) -> None:
        """Have its WAL come, if it doesn't. Raises HowdahError `server_down`, `instance_refused` …"""
        ...

    def look(self) -> Sequence[str]:
        """See that its WAL comes; what is in the way, a sentence or two each. Raises HowdahError `server_down`."""
        ...

    def archived(self) -> str | None:
        """The file that it handed over last, where it says so. Raises HowdahError `server_down`."""
        ...

    def advance(self) -> str:
        """Have all WAL up to now on its way, with a commit in it that is later than now; returns where that ends.

        Raises HowdahError `server_down`.
        """
        ...

    def mark(self, label: str) -> tuple[str, datetime]:
        """Note this moment in the WAL; returns its position and when it was. Raises HowdahError `server_down`."""
        ...

    def configure_again(self) -> None:
        """Have changed settings of backups hold there. Raises what configuring a server raises."""
        ...


class HomeSource:
    """howdah's own server, whose archiver copies WAL to the spool."""

    name = HOME_INSTANCE

    def __init__(self, embedded: EmbeddedServer, instance: Instance):
        self._embedded = embedded
        self._instance = instance

    @property
    def home(self) -> Home:
        return self._embedded.home

    @property
    def user(self) -> ServiceUser | None:
        return self._embedded.user

    @property
    def binaries(self) -> Binaries | None:
        return self._embedded.binaries

    @property
    def superuser(self) -> str:
        return self._embedded.superuser

    @property
    def connector(self) -> Connector:
        return self._instance.connector

    @property
    def version(self) -> ServerVersion:
        return self._embedded.version

    @property
    def programs(self) -> Programs:
        assert self._embedded.binaries is not None
        return self._embedded.binaries.programs

    @property
    def spool(self) -> Spool:
        return self._embedded.archiver

    @property
    def conninfo(self) -> str:
        return self._embedded.conninfo()

    @property
    def no_increments(self) -> str | None:
        return None if self.version.major >= 17 else f"PostgreSQL {self.version} can't take one; 17 and later can"

    def session(self) -> AbstractContextManager[Connection]:
        """As `Source` says."""
        return self._instance.session()

    def identify(self) -> tuple[int, int]:
        """As `Source` says."""
        with self.session() as connection:
            identifier = system_identifier(connection)
            size = read_archiver(connection).segment_size
        assert identifier is not None
        return int(identifier), size

    def start(self) -> None:
        """As `Source` says: PostgreSQL itself sees to that."""

    def look(self) -> Sequence[str]:
        """As `Source` says."""
        archiver = self._embedded.archiver
        with self.session() as connection:
            state = read_archiver(connection)
        said = archiver.troubles()
        if state.library:
            said.append(
                "PostgreSQL doesn't archive its WAL as howdah wants it: archive_library is set. "
                "ALTER SYSTEM RESET archive_library and SELECT pg_reload_conf() put that right."
            )
        elif state.mode == "off" or state.command != archiver.command:
            said.append(
                "PostgreSQL doesn't archive its WAL as howdah wants it: "
                f"archive_mode is {state.mode}, archive_command was changed ({state.source}). "
                "ALTER SYSTEM RESET archive_command and SELECT pg_reload_conf() put that right; `howdah up` does "
                "where it is in howdah.conf."
            )
        elif state.failing:
            said.append(
                f"PostgreSQL's archive_command fails, last for {state.failed_wal}. `howdah logs` says why. "
                "WAL is held back in pg_wal meanwhile."
            )
        return said

    def archived(self) -> str | None:
        """As `Source` says."""
        with self.session() as connection:
            return read_archiver(connection).archived_wal

    def advance(self) -> str:
        """As `Source` says; the segment is finished for it."""
        with self.session() as connection:
            with connection.transaction():
                connection.execute("SELECT pg_current_xact_id()")
            row = connection.execute("SELECT pg_switch_wal()").fetchone()
        assert row is not None
        return str(row[0])

    def mark(self, label: str) -> tuple[str, datetime]:
        """As `Source` says: a restore point."""
        with self.session() as connection:
            row = connection.execute(_MARK, [label[:_LONGEST_LABEL]]).fetchone()
        assert row is not None
        return row[0], row[1]

    def configure_again(self) -> None:
        """As `Source` says."""
        self._embedded.configure_again()
