"""Names: which app names are allowed, and what the roles and the database of a new app are called.

Names are built once, when an app is made, and recorded in the store. Nothing parses them back.
"""

import re
from dataclasses import dataclass

from howdah.domain.errors import HowdahError
from howdah.domain.specs import Purpose

MAX_APP_NAME_BYTES = 40
# PostgreSQL cuts longer ones off (NAMEDATALEN).
_MAX_NAME_BYTES = 63
MAX_LABEL_BYTES = 32
_APP_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_RESERVED_PREFIXES = ("howdah", "pg_")
# They'd give databases or roles that PostgreSQL or howdah already has a meaning for.
_RESERVED_NAMES = ("none", "postgres", "public", "template", "template0", "template1")

RULE = (
    "An app's name begins with a letter, has lower-case letters, digits and single underscores between them, "
    f"at most {MAX_APP_NAME_BYTES} characters, doesn't begin with howdah or pg_, and isn't "
    f"{', '.join(_RESERVED_NAMES[:-1])} or {_RESERVED_NAMES[-1]}."
)

# The instance whose server howdah runs itself.
HOME_INSTANCE = "home"

# Short-lived and prepared roles of howdah's own; an app's name can't begin so.
OWN_PREFIX = "howdah_x_"


def check_app_name(name: str) -> str:
    """Return `name` if it may name an app.

    Raises HowdahError `invalid_name`, with the rule in the HINT.
    """
    if not _fits(name):
        similar = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        advice = f" For example: {similar}" if _fits(similar) and not _reserved(similar) else ""
        raise HowdahError("invalid_name", f"invalid app name: {_shown(name)}", hint=RULE + advice)
    if _reserved(name):
        raise HowdahError(
            "invalid_name",
            f'app name "{name}" is reserved',
            hint=f"PostgreSQL or howdah means something else by it. {RULE}",
        )
    return name


LABEL_PATTERN = "^(?!.*_2$)[a-z][a-z0-9]*(_[a-z0-9]+)*$"
LABEL_RULE = (
    "An added login's name has 1 to 32 lower-case letters, digits and single underscores, begins with a letter, and "
    "doesn't end in _2."
)


def check_label(label: str) -> str:
    """Return `label` if it may name an added login within its app; raises HowdahError `invalid_name`."""
    if not _APP_NAME.fullmatch(label) or len(label) > MAX_LABEL_BYTES or label.endswith("_2"):
        raise HowdahError("invalid_name", f"invalid login name: {_shown(label)}", hint=LABEL_RULE)
    return label


def _fits(name: str) -> bool:
    return _APP_NAME.fullmatch(name) is not None and len(name) <= MAX_APP_NAME_BYTES


def _reserved(name: str) -> bool:
    return name.startswith(_RESERVED_PREFIXES) or name in _RESERVED_NAMES


def _shown(name: str) -> str:
    """A name fit for a message: one line, quoted, not endless."""
    printable = "".join(c if c.isprintable() else "�" for c in name)
    return f'"{printable[:80]}…"' if len(printable) > 80 else f'"{printable}"'


@dataclass(frozen=True)
class DatabaseNames:
    """The names that a new database of an app and its roles get. The gate is called as the database."""

    stem: str
    database: str
    owner: str
    readwrite: str
    readonly: str
    user_logins: tuple[str, str]
    readonly_logins: tuple[str, str]

    @property
    def gate(self) -> str:
        return self.database

    def added_logins(self, label: str) -> tuple[str, str]:
        """The names of a login that is added as `label`, and of its twin.

        Raises HowdahError `invalid_name`, and `login_refused` where they are too long for PostgreSQL.
        """
        check_label(label)
        first = f"{self.stem}__{label}"
        if len(twin := f"{first}_2") > _MAX_NAME_BYTES:
            raise HowdahError(
                "login_refused",
                f'login "{label}" would get a name that is too long: {first}',
                hint=f"Of this app, it may have {_MAX_NAME_BYTES - len(self.stem) - 4} characters at most.",
            )
        return first, twin


def names_for(app: str, purpose: Purpose = Purpose.MAIN) -> DatabaseNames:
    """Names for a new database of `app`; raises HowdahError `invalid_name`."""
    check_app_name(app)
    return _names(app if purpose is Purpose.MAIN else f"{app}_{purpose}")


def prepared_names(key: str) -> DatabaseNames:
    """Names for a database that is prepared for an app to come: opaque, and no app's can begin so."""
    return _names(f"{OWN_PREFIX}{key}")


def _names(stem: str) -> DatabaseNames:
    return DatabaseNames(
        stem=stem,
        database=f"{stem}_db",
        owner=f"{stem}_owner",
        readwrite=f"{stem}_rw",
        readonly=f"{stem}_ro",
        user_logins=(f"{stem}_user", f"{stem}_user_2"),
        readonly_logins=(f"{stem}_readonly", f"{stem}_readonly_2"),
    )
