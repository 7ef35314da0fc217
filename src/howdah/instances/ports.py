"""Is the port free, and if not, who holds it?"""

import errno
import ipaddress
import socket
from pathlib import Path

import psutil

from howdah.domain.errors import HowdahError
from howdah.instances.configuration import home_of

REUSE = (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def check_port(addresses: tuple[str, ...], port: int) -> None:
    """Raise `port_in_use` when any address can't be listened on at `port`, naming the holder where visible.

    Raises `invalid_input` for an address that isn't this machine's.
    """
    for address in addresses:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as probe:
            # Just as PostgreSQL does, or a connection in TIME_WAIT would count as a holder.
            probe.setsockopt(*REUSE)
            if probe.family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind((address, port))
                probe.listen(1)
            except OSError as error:
                _refuse(address, port, error)


def _refuse(address: str, port: int, error: OSError) -> None:
    if error.errno == errno.EADDRINUSE:
        raise HowdahError(
            "port_in_use",
            f"port {port} on {address} is in use",
            detail=_holder(address, port),
            hint="Stop that program, or choose another port: `howdah up --port 5433`.",
        ) from error
    if error.errno == errno.EADDRNOTAVAIL:
        raise HowdahError(
            "invalid_input",
            f"{address} is not an address of this machine",
            hint="Bind an address that `ip address` shows, or * for all. Names for clients go to --public-host.",
        ) from error
    raise HowdahError(
        "port_in_use",
        f"{address} port {port} can't be listened on",
        detail=f"{error.strerror}.",
        hint="Choose another port or address.",
    ) from error


def _holder(address: str, port: int) -> str:
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        connections = []
    holders = [
        c.pid
        for c in connections
        if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port and _overlap(c.laddr.ip, address)
    ]
    described = sorted({_describe(pid) for pid in holders if pid is not None})
    if described:
        return "It is held by " + " and ".join(described) + "."
    return "It is held by a process of another user, which can't be seen from here."


def _overlap(held: str, wanted: str) -> bool:
    a, b = ipaddress.ip_address(held.split("%")[0]), ipaddress.ip_address(wanted)
    return a.is_unspecified or b.is_unspecified or a == b


def _describe(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        command = " ".join(process.cmdline()) or process.name()
        said = f"process {pid} ({command[:200]})"
        if process.name().startswith("postgres") and (home := home_of(Path(process.cwd()))) is not None:
            said += f", the PostgreSQL of the howdah home {home}"
    except psutil.NoSuchProcess:
        return f"process {pid}, which has just ended"
    except (psutil.Error, OSError):
        return f"process {pid}"
    return said
