"""A PostgreSQL server that howdah doesn't run: of any release, with an admin of either kind."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from howdah.instances.binaries import find_binaries
from howdah.instances.service_user import service_user
from howdah.postgres.connections import Connector
from tests.support import free_port, open_folder


@dataclass(frozen=True)
class PlainServer:
    """`root` connects as the bootstrap superuser, `admin` as what an adopting howdah would be given."""

    root: Connector
    admin: Connector


@contextmanager
def plain_server(bin: str | None, *, superuser: bool, prepared: bool = True) -> Iterator[PlainServer]:
    """initdb, start, and an admin who is a superuser or has CREATEROLE and CREATEDB; gone afterwards.

    `prepared`: where the admin can't shut schema public, a superuser did to template1 what howdah asks for.
    """
    with open_folder() as folder:
        user = service_user(lambda _: None)
        programs = Path(bin) if bin else find_binaries(None, folder, user, lambda _: None).programs.folder
        data = folder / "data"
        data.mkdir(mode=0o700)
        shutil.chown(data, user.uid, user.gid)

        def run(program: str, *arguments: str) -> None:
            subprocess.run(
                [str(programs / program), *arguments],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                **user.popen_arguments(),
            )

        run("initdb", "-D", str(data), "-U", "root_role", "-A", "trust", "-E", "UTF8", "--locale=C")
        port = free_port()
        with (data / "postgresql.conf").open("a") as conf:
            conf.write(f"port = {port}\nunix_socket_directories = '{data}'\nlisten_addresses = ''\nfsync = off\n")
        run("pg_ctl", "-D", str(data), "-w", "-l", str(data / "log"), "start")
        try:
            where = f"host={data} port={port}"
            root = Connector(f"{where} user=root_role")
            _bootstrap(root, superuser)
            if prepared and not superuser:
                _prepare(root)
            yield PlainServer(root, Connector(f"{where} user=hw_admin", role="howdah"))
        finally:
            run("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")


def _bootstrap(root: Connector, superuser: bool) -> None:
    kind = "SUPERUSER" if superuser else "CREATEROLE CREATEDB"
    with root.connect() as connection:
        version = connection.info.server_version
        connection.execute(f"CREATE ROLE hw_admin LOGIN {kind}".encode())
        connection.execute("CREATE ROLE howdah_audit")
        connection.execute("CREATE DATABASE howdah")
        connection.execute("SET ROLE hw_admin")
        connection.execute(f"CREATE ROLE howdah NOLOGIN {kind}".encode())
        options = " WITH INHERIT TRUE, SET TRUE" if version >= 160000 else ""
        connection.execute(f"GRANT howdah TO hw_admin{options}".encode())


def _prepare(root: Connector) -> None:
    with root.connect("template1") as connection:
        if connection.info.server_version < 150000:
            connection.execute("ALTER SCHEMA public OWNER TO howdah")
            connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
