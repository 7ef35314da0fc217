"""Errors in PostgreSQL's own shape: a message, DETAIL, HINT, and a stable code.

A code belongs to one category, and a category to one exit status of the command line and one HTTP
status of the API. The table below is the whole list; both edges read it and neither keeps its own.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    """What kind of failure a code stands for: `exit_status` 1 to 125, `http_status` 4xx or 5xx."""

    exit_status: int
    http_status: int


INTERNAL = Category(1, 500)
INVALID = Category(2, 422)
NOT_FOUND = Category(3, 404)
CONFLICT = Category(4, 409)
REFUSED = Category(5, 403)
UNAUTHORIZED = Category(5, 401)
TOO_MANY = Category(5, 429)
UNAVAILABLE = Category(6, 503)
ENVIRONMENT = Category(7, 500)

CODES: dict[str, Category] = {
    # what was asked can't be meant
    "invalid_name": INVALID,
    "invalid_input": INVALID,
    "request_too_large": Category(2, 413),
    "idempotency_key_reused": INVALID,
    # what was asked for isn't there
    "app_not_found": NOT_FOUND,
    "database_not_found": NOT_FOUND,
    "instance_not_found": NOT_FOUND,
    "login_not_found": NOT_FOUND,
    "session_not_found": NOT_FOUND,
    "operation_not_found": NOT_FOUND,
    "token_not_found": NOT_FOUND,
    "rotation_not_found": NOT_FOUND,
    "handoff_not_found": NOT_FOUND,
    "team_not_found": NOT_FOUND,
    "member_not_found": NOT_FOUND,
    "backup_missing": NOT_FOUND,
    "backup_not_found": NOT_FOUND,
    "not_found": NOT_FOUND,
    "method_not_allowed": Category(2, 405),
    # something stands in the way
    "app_exists": CONFLICT,
    "app_dropped": CONFLICT,
    "app_not_dropped": CONFLICT,
    "confirmation_missing": Category(2, 409),
    "role_in_use": CONFLICT,
    "token_exists": CONFLICT,
    "login_exists": CONFLICT,
    "team_exists": CONFLICT,
    "team_in_use": CONFLICT,
    "team_needed": Category(2, 409),
    "team_full": CONFLICT,
    "team_limit": CONFLICT,
    "login_refused": CONFLICT,
    "rotation_running": CONFLICT,
    "handoff_gone": CONFLICT,
    "api_off": CONFLICT,
    "instance_exists": CONFLICT,
    "instance_in_use": CONFLICT,
    "name_in_use": CONFLICT,
    "identity_changed": CONFLICT,
    "database_invalid": CONFLICT,
    "database_missing": CONFLICT,
    "database_closed": CONFLICT,
    "busy": CONFLICT,
    "already_running": CONFLICT,
    "settings_differ": CONFLICT,
    # a dump can't become an app here
    "dump_invalid": Category(2, 409),
    "dump_newer": CONFLICT,
    "extension_missing": CONFLICT,
    "import_refused": CONFLICT,
    "locale_missing": CONFLICT,
    "file_exists": CONFLICT,
    # a backup can't be read, or can't become a server again as of that moment
    "backup_damaged": CONFLICT,
    "backup_sealed": CONFLICT,
    "recovery_failed": CONFLICT,
    "backup_off": CONFLICT,
    "key_without_bucket": Category(2, 409),
    "execute_refused": CONFLICT,
    "extension_refused": CONFLICT,
    "limit_refused": CONFLICT,
    "too_early": CONFLICT,
    "restore_refused": CONFLICT,
    # the audit trail isn't as it was written, or what is to be one is none
    "trail_broken": CONFLICT,
    "trail_invalid": Category(2, 409),
    "sending_refused": Category(2, 409),
    "head_not_sent": Category(6, 409),
    "unproven": CONFLICT,
    # a server that was named is none that howdah can work on
    "instance_unreachable": Category(6, 409),
    "instance_refused": CONFLICT,
    "instance_unsuitable": CONFLICT,
    # howdah won't
    "plaintext_refused": REFUSED,
    "permission_denied": REFUSED,
    "passphrase_wrong": REFUSED,
    "scope_too_small": REFUSED,
    "token_missing": UNAUTHORIZED,
    "token_invalid": UNAUTHORIZED,
    "token_expired": UNAUTHORIZED,
    "token_revoked": UNAUTHORIZED,
    "too_many_failures": TOO_MANY,
    # a part of howdah doesn't answer
    "control_plane_down": UNAVAILABLE,
    "server_down": UNAVAILABLE,
    "timeout": UNAVAILABLE,
    # the machine or its server isn't as howdah needs it
    "port_in_use": ENVIRONMENT,
    "data_directory": ENVIRONMENT,
    "disk_full": ENVIRONMENT,
    "service_user": ENVIRONMENT,
    "binaries": ENVIRONMENT,
    "unsupported_version": ENVIRONMENT,
    "tls": ENVIRONMENT,
    "start_failed": ENVIRONMENT,
    "stop_failed": ENVIRONMENT,
    "home": ENVIRONMENT,
    "store": ENVIRONMENT,
    "repository": ENVIRONMENT,
    "archive_behind": ENVIRONMENT,
    "missing_program": ENVIRONMENT,
    "env_file": ENVIRONMENT,
    "file": ENVIRONMENT,
    # howdah's own fault, or a statement that PostgreSQL refused
    "statement_failed": INTERNAL,
    "unmended": INTERNAL,
    "dump_failed": INTERNAL,
    "backup_failed": INTERNAL,
    "load_failed": INTERNAL,
    "internal": INTERNAL,
}


# An instance that doesn't let howdah in, as the instance itself has logged: work in the background waits.
AWAY = frozenset({"server_down", "instance_refused"})


def sentence(text: str) -> str:
    """What somebody else's program said, with a full stop: a part of ours."""
    return text if text.endswith((".", ";", "?", "!")) else f"{text}."


class HowdahError(Exception):
    """A failure to show to a person or a program.

    `code` is a key of `CODES`; `message` says what happened in one line without a full stop;
    `detail` says more of the facts; `hint` says what to do. None of them may hold a secret.
    """

    def __init__(self, code: str, message: str, *, detail: str | None = None, hint: str | None = None):
        super().__init__(message)
        self.code = code
        self.category = CODES[code]
        self.message = message
        self.detail = detail
        self.hint = hint

    def __str__(self) -> str:
        """Render as psql would: message, then DETAIL and HINT on lines of their own."""
        lines = [self.message]
        if self.detail:
            lines.append(f"DETAIL:  {self.detail}")
        if self.hint:
            lines.append(f"HINT:  {self.hint}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, str | None]:
        """The error's four parts, for the door's problem+json and the daemon's progress lines."""
        return {"code": self.code, "message": self.message, "detail": self.detail, "hint": self.hint}


class TooManyFailures(HowdahError):
    """Come again in `retry_after` seconds."""

    def __init__(self, code: str, message: str, *, retry_after: int, hint: str | None = None):
        super().__init__(code, message, hint=hint)
        self.retry_after = retry_after
