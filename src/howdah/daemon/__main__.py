"""`python -m howdah.daemon up|down|status`: what the command line starts; people use `howdah`."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import structlog

from howdah.daemon.logging import configure_logging
from howdah.daemon.report import Report
from howdah.daemon.settings import OPTIONS as API_OPTIONS
from howdah.domain.errors import INTERNAL, HowdahError
from howdah.domain.home import Home

OPTIONS = ("port", "bind", "data", "pg_bin", "public_host", "allow_plaintext", "tls_cert", "tls_key", "prepared")


def main() -> int:
    """Returns the exit status of the command, which its category decides when it fails."""
    arguments = _parser().parse_args()
    os.umask(0o077)
    configure_logging()
    report = Report(arguments.report_fd)
    home = Home(arguments.home)
    try:
        return _run(arguments, home, report)
    except HowdahError as error:
        structlog.get_logger("howdah.daemon").error("failed", command=arguments.command, **error.as_dict())
        report.error(error)
        return error.category.exit_status
    except Exception as error:  # noqa: BLE001 - the edge: nothing may end without a word to whoever waits
        structlog.get_logger("howdah.daemon").exception("failed", command=arguments.command)
        report.error(
            HowdahError(
                "internal",
                f"`howdah {arguments.command}` failed unexpectedly",
                detail=f"{type(error).__name__}.",
                hint=f"This is a fault of howdah. {home.control_log} has the details.",
            )
        )
        return INTERNAL.exit_status


def _run(arguments: argparse.Namespace, home: Home, report: Report) -> int:
    # Imported here: `status` and `down` must work, and quickly, without the API and all it needs.
    if arguments.command == "status":
        from howdah.daemon.status import status

        report.ready(status(home))
        return 0
    if arguments.command == "down":
        from howdah.daemon.stop import stop

        report.ready(stop(home, report, keep_postgres=arguments.keep_postgres))
        return 0
    from howdah.daemon.serve import ControlPlane, Stopped

    given: dict[str, Any] = {name: getattr(arguments, name) for name in OPTIONS}
    try:
        api = {name: getattr(arguments, name) for name in API_OPTIONS}
        return ControlPlane(home, given, api, report).run()
    except Stopped:
        report.error(HowdahError("internal", "`howdah up` was stopped before it was done", hint="Run it again."))
        return INTERNAL.exit_status


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    common.add_argument("--home", type=_path, required=True)
    common.add_argument("--report-fd", type=int)
    parser = argparse.ArgumentParser(prog="python -m howdah.daemon", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", parents=[common], allow_abbrev=False)
    up.add_argument("--port", type=int)
    up.add_argument("--bind", action="append")
    up.add_argument("--public-host")
    up.add_argument("--allow-plaintext", action=argparse.BooleanOptionalAction)
    up.add_argument("--prepared", type=int)
    up.add_argument("--api-bind")
    up.add_argument("--api-behind-proxy")
    up.add_argument("--public-url")
    for name in ("--data", "--pg-bin", "--tls-cert", "--tls-key", "--api-tls-cert", "--api-tls-key"):
        up.add_argument(name, type=_path_or_nothing)
    down = commands.add_parser("down", parents=[common], allow_abbrev=False)
    down.add_argument("--keep-postgres", action="store_true")
    commands.add_parser("status", parents=[common], allow_abbrev=False)
    return parser


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _path_or_nothing(text: str) -> str:
    return str(_path(text)) if text else ""


if __name__ == "__main__":
    sys.exit(main())
