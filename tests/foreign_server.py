"""A PostgreSQL server that howdah doesn't run, as `howdah instance add` meets one: over TCP, with a password."""

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from howdah.instances.binaries import find_binaries
from howdah.instances.service_user import service_user
from tests.support import free_port, open_folder

_HBA = """local all {superuser} trust
host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
"""


@dataclass
class ForeignServer:
    """`admin` logs in over TCP with `password`, kept in `password_file`; its superuser comes over the socket."""

    folder: Path
    programs: Path
    port: int
    superuser: str
    admin: str
    password: str = field(repr=False)
    user: Any

    @property
    def conninfo(self) -> str:
        """The admin's, without the password."""
        return f"postgresql://{self.admin}@127.0.0.1:{self.port}/postgres"

    @property
    def password_file(self) -> Path:
        file = self.folder / "admin-password"
        file.write_text(self.password + "\n")
        return file

    def as_superuser(self, database: str = "postgres") -> psycopg.Connection[Any]:
        where = {"host": str(self.folder / "data"), "port": self.port, "user": self.superuser}
        return psycopg.connect(**where, dbname=database, autocommit=True)

    def prepare_template(self) -> None:
        """What `instance show` asks a superuser to do before 15, where the admin is none."""
        with self.as_superuser("template1") as connection:
            if connection.info.server_version < 150000:
                connection.execute("ALTER SCHEMA public OWNER TO howdah")
                connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")

    def run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self.programs / program), *arguments],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **self.user.popen_arguments(),
        )

    def start(self) -> None:
        data = self.folder / "data"
        self.run("pg_ctl", "-D", str(data), "-w", "-l", str(data / "log"), "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", "immediate", "stop")


@contextmanager
def foreign_server(
    bin: str | None = None, *, superuser: bool = False, replication: bool = False, bootstrap: str = "root_role"
) -> Iterator[ForeignServer]:
    """initdb, start, and an admin who is a superuser or has CREATEROLE and CREATEDB; gone afterwards.

    Since superusers may replicate, so may they there.
    """
    with open_folder("howdah-foreign-") as folder:
        user = service_user(lambda _: None)
        programs = Path(bin) if bin else find_binaries(None, folder, user, lambda _: None).programs.folder
        data = folder / "data"
        data.mkdir(mode=0o700)
        shutil.chown(data, user.uid, user.gid)
        server = ForeignServer(folder, programs, free_port(), bootstrap, "boss", secrets.token_urlsafe(12), user)
        server.run("initdb", "-D", str(data), "-U", bootstrap, "-A", "trust", "-E", "UTF8", "--locale=C")
        (data / "pg_hba.conf").write_text(_HBA.format(superuser=bootstrap))
        with (data / "postgresql.conf").open("a") as conf:
            conf.write(
                f"port = {server.port}\nunix_socket_directories = '{data}'\nlisten_addresses = '127.0.0.1'\n"
                "fsync = off\npassword_encryption = 'scram-sha-256'\n"
            )
        server.start()
        try:
            kind = "SUPERUSER" if superuser else "CREATEROLE CREATEDB"
            kind += " REPLICATION" if replication else ""
            with server.as_superuser() as connection:
                connection.execute(f"CREATE ROLE boss LOGIN {kind} PASSWORD '{server.password}'".encode())
            yield server
        finally:
            server.stop()
