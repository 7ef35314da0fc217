"""`status`: what runs, as it is now, with or without a control plane."""

from typing import Any

from howdah.daemon.lock import holder
from howdah.daemon.settings import ApiSettings
from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.instances.audit_files import read_failure
from howdah.instances.backup_state import read_backup_state
from howdah.instances.embedded import EmbeddedServer
from howdah.instances.settings import EmbeddedSettings


def status(home: Home) -> dict[str, Any]:
    """Facts about the control plane and the server of `home`. Raises `home` when it can't be read."""
    settings = EmbeddedSettings.load(home)
    known = settings or EmbeddedSettings()
    server = EmbeddedServer(home, known)
    control_plane = holder(home.control_pid)
    process = server.running()
    try:
        version = str(server.version) if process is not None else None
        notices = server.notices() if process is not None else server.backup_notices()
    except HowdahError as error:
        version, notices = None, [error.message]
    if control_plane is None and process is not None:
        notices.append(
            "The control plane isn't running: WAL waits to be stored until `howdah up`, and no hole is seen."
        )
    if unsent := read_failure(home):
        notices.append(unsent)
    backups = read_backup_state(home)
    return {
        "home": str(home.root),
        "control_plane": {
            "running": control_plane is not None,
            "pid": control_plane.pid if control_plane is not None else None,
            "socket": str(home.api_socket),
            "url": ApiSettings.load(home).url,
        },
        "postgres": {
            "running": process is not None,
            "pid": process.pid if process is not None else None,
            "version": version,
            "port": server.port if settings is not None else None,
            "bind": list(known.bind) if settings is not None else [],
            "data_directory": str(server.data_directory) if settings is not None else None,
            "socket_directory": str(server.socket_directory) if settings is not None else None,
            "accepts_connections": server.accepts_connections(),
        },
        "backups": {
            "last_backup": backups.last_backup,
            "reaches_from": backups.reaches_from,
            "proven": backups.proven,
        },
        "logs": [str(path) for path in sorted(home.logs.glob("*.log"))] if home.logs.is_dir() else [],
        "notices": notices,
    }
