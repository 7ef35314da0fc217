"""The embedded instance: a PostgreSQL server whose process howdah itself looks after."""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from psycopg import pq
from psycopg.conninfo import make_conninfo

from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.instances.archiver import Archiver
from howdah.instances.backup_settings import BackupSettings
from howdah.instances.backup_state import read_backup_state
from howdah.instances.binaries import Binaries, find_binaries, program_version
from howdah.instances.certificates import install_certificate
from howdah.instances.cluster import SUPERUSER, check_cluster, is_made, make_cluster
from howdah.instances.configuration import FILE, INCLUDES, Wanted, render_access, render_names, render_server
from howdah.instances.control import signal_server, start_server, stop_server
from howdah.instances.files import disk_errors, read_file, write_file
from howdah.instances.layout import make_layout, make_root
from howdah.instances.machine import cores, memory_bytes, sizing
from howdah.instances.ports import check_port
from howdah.instances.postmaster import ServerProcess, find_server
from howdah.instances.releases import ServerVersion, notice
from howdah.instances.service_user import service_user, user_name
from howdah.instances.settings import WILDCARDS, EmbeddedSettings
from howdah.postgres.programs import Programs, ServiceUser

Progress = Callable[[str], None]


class EmbeddedServer:
    """The server of one home.

    `prepare` makes what it needs, `start` and `stop` do what they say and may be repeated. The other methods
    look at what is really there now and work without `prepare`.
    """

    def __init__(self, home: Home, settings: EmbeddedSettings):
        self.home = home
        self.settings = settings
        self.user: ServiceUser | None = None
        self.binaries: Binaries | None = None
        self._running_version: tuple[int, ServerVersion] | None = None

    @property
    def superuser(self) -> str:
        """The role that is howdah's own."""
        return SUPERUSER

    @property
    def archiver(self) -> Archiver:
        """What its WAL is handed to."""
        return Archiver(self.home, self.data_directory)

    # What it is and where

    @property
    def data_directory(self) -> Path:
        return Path(self.settings.data) if self.settings.data is not None else self.home.data

    @property
    def socket_directory(self) -> Path:
        """Where its socket is: as the running server says, else as configured."""
        server = self.running()
        if server is not None and server.socket_directory is not None:
            return server.socket_directory
        return self.home.postgres_socket_directory.resolve()

    @property
    def port(self) -> int:
        """As the running server says, else as configured."""
        server = self.running()
        return server.port if server is not None and server.port is not None else self.settings.port

    @property
    def url_host(self) -> str:
        """The host that clients' URLs carry (an IPv6 address comes without brackets)."""
        if self.settings.public_host is not None:
            return self.settings.public_host
        return next((a for a in self.settings.bind if a not in WILDCARDS), None) or socket.gethostname()

    @property
    def url_port(self) -> int:
        return self.port

    @property
    def tls(self) -> bool:
        return self.settings.tls

    @property
    def version(self) -> ServerVersion:
        """Of the running server, else of the prepared programs. Raises `server_down` when neither is known."""
        server = self.running()
        if server is not None and server.executable is not None:
            if self._running_version is None or self._running_version[0] != server.pid:
                # It may run from older programs than those a newer howdah has brought since.
                programs = Programs(server.executable.parent, self.user or service_user(lambda _: None))
                self._running_version = server.pid, program_version(programs)
            return self._running_version[1]
        if self.binaries is None:
            raise HowdahError("server_down", "PostgreSQL is not running", hint="Start it with `howdah up`.")
        return self.binaries.version

    @property
    def public_host(self) -> str | None:
        """The host that `up --public-host` gave."""
        return self.settings.public_host

    @property
    def here(self) -> tuple[str, int]:
        """Host and port for clients on this machine: it always listens there, whatever address the URLs name."""
        return "127.0.0.1", self.port

    def conninfo_as(self, login: str, password: str, database: str) -> str:
        """How an app's login connects from here."""
        host, port = self.here
        return make_conninfo(host=host, port=port, user=login, password=password, dbname=database)

    def conninfo(self, database: str = "postgres") -> str:
        """How howdah itself connects, as superuser over the private socket; there is no password."""
        return make_conninfo(
            host=str(self.socket_directory), port=self.port, user=SUPERUSER, dbname=database, sslmode="disable"
        )

    def notices(self) -> list[str]:
        """What the admin should know about this server, a sentence or two each."""
        said: list[str] = []
        if (old := notice(self.version)) is not None:
            said.append(old)
        if self.binaries is not None and self.binaries.version != self.version:
            said.append(
                f"PostgreSQL {self.version} is running and {self.binaries.version} is installed: "
                "`howdah down` and `howdah up` change over."
            )
        if self.settings.allow_plaintext and not self.tls:
            said.append("Clients beyond this machine connect without TLS (--allow-plaintext).")
        return said + self.backup_notices()

    def backup_notices(self) -> list[str]:
        """What its files say of archiving and backups; asks no server, so that one that is stopped has it, too."""
        return self.archiver.held_back(stopped=self.running() is None) + list(read_backup_state(self.home).notices)

    def running(self) -> ServerProcess | None:
        """The live server process of this data directory, whatever state it is in."""
        return find_server(self.data_directory)

    def accepts_connections(self) -> bool:
        """Whether a new session would be let in right now; answers within 3 s."""
        conninfo = make_conninfo(self.conninfo(), connect_timeout=3)
        return self.running() is not None and pq.PGconn.ping(conninfo.encode()) == pq.Ping.OK

    # Making it ready

    def prepare(self, progress: Progress) -> None:
        """Make the home, the service user, the programs, the data directory and its configuration.

        Safe to repeat, also while the server runs (it is told to read its configuration again). Raises
        `home`, `service_user`, `binaries`, `unsupported_version`, `tls`, `data_directory`, `port_in_use`,
        `invalid_input`, `plaintext_refused` or `disk_full`; then nothing half-made is used later.
        """
        self.settings = self.settings.validated()
        make_root(self.home)
        self.user = service_user(progress)
        make_layout(self.home, self.user)
        self.archiver.install(self.user)
        with disk_errors(self.home.binaries):
            self.binaries = find_binaries(self.settings.pg_bin, self.home.binaries, self.user, progress)
        if self.settings.tls and not self.binaries.openssl:
            raise HowdahError(
                "tls",
                f"this PostgreSQL {self.binaries.version} was built without TLS",
                detail=f"Its programs are in {self.binaries.programs.folder}.",
                hint="Name a PostgreSQL built with OpenSSL, as Linux distributions have it: --pg-bin DIR.",
            )
        data = self.data_directory
        self._refuse_to_leave_data_behind(data)
        made = is_made(data)
        if made:
            check_cluster(data, self.home, self.binaries, self.user)
        server = self.running()
        if server is None:
            check_port(self.settings.listen, self.settings.port)
        with disk_errors(data, code="data_directory"):
            # Saved before the first byte of data, so that whatever happens now, later commands know where it is.
            self.settings.save(self.home)
            if not made:
                make_cluster(data, self.binaries, self.user, self._configure, progress)
            elif self._configure(data) and server is not None:
                progress("Telling PostgreSQL of its new configuration")
                self.reload()

    def _refuse_to_leave_data_behind(self, data: Path) -> None:
        """An `up` with another --data would start an empty server, and every database would seem lost."""
        before = EmbeddedSettings.load(self.home)
        old = Path(before.data) if before is not None and before.data is not None else self.home.data
        if old.resolve() != data.resolve() and (old / "PG_VERSION").exists() and not is_made(data):
            raise HowdahError(
                "data_directory",
                f"this home's databases are in {old}",
                detail=f"There are none in {data} yet.",
                hint=f"To move them: `howdah down`, move {old} to {data}, then `howdah up --data {data}`. "
                "For a second server choose another home with HOWDAH_HOME.",
            )

    def _configure(self, folder: Path) -> bool:
        """Write the configuration into a data directory; returns whether anything changed."""
        assert self.user is not None
        assert self.binaries is not None
        settings, user = self.settings, self.user
        backups = BackupSettings.load(self.home)
        certificate = key = None
        changed = False
        if settings.tls_cert is not None and settings.tls_key is not None:
            certificate, key, changed = install_certificate(
                Path(settings.tls_cert), Path(settings.tls_key), self.home.tls, user
            )
        wanted = Wanted(
            home=self.home.root,
            major=self.binaries.version.major,
            port=settings.port,
            listen=settings.listen,
            socket_directory=self.home.postgres_socket_directory.resolve(),
            logs=self.home.logs,
            sizing=sizing(memory_bytes()),
            cores=cores(),
            pg_stat_statements=self.binaries.pg_stat_statements,
            tls_cert=certificate,
            tls_key=key,
            allow_plaintext=settings.allow_plaintext,
            archive_command=self.archiver.command if backups.on else "true",
            archive_timeout_s=backups.archive_timeout_s,
        )
        access = render_access(tls=settings.tls, allow_plaintext=settings.allow_plaintext)
        names = render_names([user_name(os.geteuid()), user.name])
        for name, text in ((FILE, render_server(wanted)), ("pg_hba.conf", access), ("pg_ident.conf", names)):
            changed |= write_file(folder, name, text, user)
        main = read_file(folder, "postgresql.conf")
        if f"include = '{FILE}'" not in (line.strip() for line in main.splitlines()):
            changed |= write_file(folder, "postgresql.conf", main + INCLUDES, user)
        return changed

    def configure_again(self) -> None:
        """Have settings hold that don't need a restart: those of backups. Raises `home`, `data_directory`."""
        with disk_errors(self.data_directory, code="data_directory"):
            if self._configure(self.data_directory) and self.running() is not None:
                self.reload()

    # Running it

    def start(self, progress: Progress, timeout: float = 3600) -> bool:
        """Start the server and wait (seconds) until it accepts connections; a crash recovery can take long.

        Returns whether this call started it: False when it was running. Raises `port_in_use`,
        `start_failed` (with the server's last words) or `timeout`; what was started then is stopped again.
        """
        if self.binaries is None:
            raise HowdahError("internal", "the server was started before it was prepared")
        return start_server(
            self.binaries.programs,
            self.data_directory,
            self.home.logs,
            self.home.postgres_socket_directory,
            listen=self.settings.listen,
            port=self.settings.port,
            progress=progress,
            timeout=timeout,
        )

    def stop(self, progress: Progress, mode: str = "fast", timeout: float = 300) -> bool:
        """Stop the server and wait (seconds) until it is gone; returns whether it was running.

        `mode` is PostgreSQL's smart, fast or immediate. Raises `stop_failed` or `permission_denied`.
        """
        return stop_server(self.data_directory, mode, progress, timeout)

    def reload(self) -> None:
        """Have the server read its configuration again. Raises `server_down` or `permission_denied`."""
        server = self.running()
        if server is None:
            raise HowdahError("server_down", "PostgreSQL is not running", hint="Start it with `howdah up`.")
        signal_server(server, signal.SIGHUP)
