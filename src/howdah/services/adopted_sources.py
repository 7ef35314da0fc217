"""Adopted servers as what backups are taken of: over a replication connection, where that can be had."""

import os
import re
import shutil
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime

import structlog

from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.domain.wal import SEGMENT_NAME, Segment, parse_lsn, shown_lsn
from howdah.instances.adopted import AdoptedServer
from howdah.instances.backup_settings import BackupSettings
from howdah.instances.binaries import OLDEST_MAJOR, Binaries
from howdah.instances.clients import find_server
from howdah.instances.embedded import EmbeddedServer
from howdah.instances.receiver import APPLICATION_NAME, Receiver
from howdah.instances.releases import ServerVersion
from howdah.postgres.connections import Connection, Connector
from howdah.postgres.programs import Programs, ServiceUser
from howdah.postgres.replication import Cluster, Reservation, identify, read_cluster, write_past, written
from howdah.services.core import Core, Instance

# Of a receiver that is on its way, a little is always missing.
_BEHIND_SEGMENTS = 4
# More than that isn't held back on another's server, in bytes: then WAL is missing here, and a backup is taken.
_RESERVED_MOST = 4 << 30
# As a role's name it means itself, in pg_hba.conf and pg_ident.conf.
_PLAIN = re.compile(r'[^/+"\s][^"\n]*')


_log = structlog.get_logger(__name__)


class AdoptedSource:
    """A server that howdah doesn't run, whose WAL pg_receivewal brings here while the control plane runs."""

    def __init__(
        self, core: Core, instance: Instance, server: Binaries, user: ServiceUser, cluster: Cluster, identifier: int
    ):
        assert isinstance(instance.ways, AdoptedServer)
        assert cluster.superuser is not None
        self.instance = instance
        self.user: ServiceUser | None = user
        self.binaries: Binaries | None = server
        self._home = core.home
        self._superuser = cluster.superuser
        self._segment_size = cluster.segment_size
        self._summarizes = cluster.summarizes
        self._identifier = identifier
        # The admin's password file is this account's.
        self._programs = Programs(server.programs.folder, ServiceUser("this account", os.geteuid(), os.getegid()))
        self._reservation: Reservation | None = None
        self._guard = threading.Lock()
        self._receiver = Receiver(self._programs, self.conninfo, core.home.received / f"{self.name}-{identifier}")

    @property
    def name(self) -> str:
        return self.instance.name

    @property
    def home(self) -> Home:
        return self._home

    @property
    def superuser(self) -> str:
        return self._superuser

    @property
    def connector(self) -> Connector:
        return self.instance.connector

    @property
    def version(self) -> ServerVersion:
        number = self.instance.server.version_num
        return ServerVersion(number // 10000, number % 10000)

    @property
    def no_increments(self) -> str | None:
        if self.version.major < 17:
            return f"PostgreSQL {self.version} can't take one; 17 and later can"
        return None if self._summarizes else f'summarize_wal is off on instance "{self.name}"'

    @property
    def programs(self) -> Programs:
        return self._programs

    @property
    def spool(self) -> Receiver:
        return self._receiver

    @property
    def conninfo(self) -> str:
        assert isinstance(self.instance.ways, AdoptedServer)
        return self.instance.ways.conninfo()

    def session(self) -> AbstractContextManager[Connection]:
        """As `Source` says."""
        return self.instance.session()

    def identify(self) -> tuple[int, int]:
        """As `Source` says."""
        return self._identifier, self._segment_size

    def start(self) -> None:
        """Have its WAL come. Raises HowdahError `instance_refused`, `identity_changed`."""
        with self._guard:
            if self._receiver.running:
                return
            found = identify(self.conninfo)
            if found != self._identifier:
                raise HowdahError(
                    "identity_changed",
                    f'instance "{self.name}" is another server than it was',
                    detail=f"Its system identifier is {found} instead of {self._identifier}.",
                )
            self._reserve()
            self._receiver.start()

    def _reserve(self) -> None:
        """Have the server keep what isn't here yet: a checkpoint deletes what it needs no more itself."""
        self._release()
        try:
            self._reservation = Reservation(self.connector)
        except HowdahError as error:
            # It comes all the same, as long as it is quick enough.
            _log.warning("no wal reserved", instance=self.name, **error.as_dict())

    def _release(self) -> None:
        if self._reservation is not None:
            self._reservation.release()
            self._reservation = None

    def look(self) -> Sequence[str]:
        """As `Source` says: start what brings it, where that ended."""
        said = []
        if not self._receiver.running:
            if words := self._receiver.last_words:
                said.append(f'WAL of instance "{self.name}" stopped coming and is asked for again: {words}')
            self.start()
        with self.session() as connection:
            there = parse_lsn(written(connection)) // self._segment_size
        newest = self._newest()
        behind = there - newest
        with self._guard:
            self._keep_reserved(newest, behind * self._segment_size)
        if behind > _BEHIND_SEGMENTS and not said:
            missing = behind * self._segment_size >> 20
            said.append(f'WAL of instance "{self.name}" is {missing} MB behind: it comes slower than it is written.')
        return said

    def _keep_reserved(self, newest: int, behind: int) -> None:
        if self._reservation is None:
            if self._receiver.running and behind < _RESERVED_MOST:
                self._reserve()
        elif behind > _RESERVED_MOST:
            self._release()
        elif newest:
            try:
                self._reservation.advance(shown_lsn(newest * self._segment_size))
            except HowdahError:
                self._reservation = None

    def _newest(self) -> int:
        numbers = [0]
        with suppress(FileNotFoundError):
            for path in self._receiver.spool.iterdir():
                if SEGMENT_NAME.fullmatch(path.stem):
                    numbers.append(Segment.parse(path.stem, self._segment_size).number)
        return max(numbers)

    def archived(self) -> str | None:
        """As `Source` says: it hands over nothing."""
        return None

    def advance(self) -> str:
        """As `Source` says; no segment is finished for it, and what there is of the last one counts."""
        self.start()
        with self.session() as connection:
            return write_past(connection)

    def mark(self, label: str) -> tuple[str, datetime]:  # noqa: ARG002 - a restore point takes a superuser
        """As `Source` says: its position is all that there is of it."""
        with self.session() as connection:
            lsn = write_past(connection)
            row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        return lsn, row[0]

    def configure_again(self) -> None:
        """As `Source` says: nothing is configured there."""

    def stop(self) -> None:
        """Have no more WAL come. What came stays."""
        with self._guard:
            self._release()
            self._receiver.stop()


def adopted_source(
    core: Core, instance: Instance, embedded: EmbeddedServer, settings: BackupSettings
) -> AdoptedSource:
    """An adopted server, if it can be backed up continuously.

    Raises HowdahError with why it can't: `server_down`, `instance_refused`, `missing_program`, `disk_full`,
    `instance_unsuitable`.
    """
    assert isinstance(instance.ways, AdoptedServer)
    assert embedded.user is not None
    with instance.session():
        major = instance.server.version_num // 10000
    with instance.connector.connect_as_login() as connection:
        cluster = read_cluster(connection)
    _check(instance, cluster, major)
    server = find_server(major, embedded, embedded.user)
    identifier = identify(instance.ways.conninfo())
    _check_room(core, cluster, settings)
    return AdoptedSource(core, instance, server, embedded.user, cluster, identifier)


def _check(instance: Instance, cluster: Cluster, major: int) -> None:
    name = instance.connector.login
    if not cluster.replication:
        raise _unsuitable(
            f'the admin "{name}" may not replicate', f'Have a superuser run: ALTER ROLE "{name}" REPLICATION;'
        )
    if major < OLDEST_MAJOR:
        raise _unsuitable(f"copies are made of PostgreSQL {OLDEST_MAJOR} and newer")
    if cluster.tablespaces:
        raise _unsuitable(f"it has tablespaces: {', '.join(cluster.tablespaces)}")
    if any(word in cluster.synchronous for word in ("*", APPLICATION_NAME)):
        raise _unsuitable(
            "its commits would wait for howdah",
            f"synchronous_standby_names there is {cluster.synchronous}: name its standbys.",
        )
    if cluster.superuser is None or _PLAIN.fullmatch(cluster.superuser) is None:
        raise _unsuitable("no superuser there can log in, and on a copy howdah does so as one")


def _check_room(core: Core, cluster: Cluster, settings: BackupSettings) -> None:
    """What is kept takes about half of what there is, twice; a copy all of it, for a while."""
    place = core.home.root
    free = shutil.disk_usage(place).free
    if cluster.size is not None and cluster.size > free:
        raise HowdahError(
            "disk_full",
            f"the whole server, {cluster.size >> 20} MB, is more than the {free >> 20} MB that are free",
            detail=f"Backups are kept in {settings.location(core.home)}, and copies are made below {place}.",
        )


def _unsuitable(message: str, hint: str | None = None) -> HowdahError:
    return HowdahError("instance_unsuitable", message, hint=hint)
