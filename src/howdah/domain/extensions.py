"""Extensions: what an app has, what it may have, and what none may."""

from collections.abc import Sequence
from dataclasses import dataclass

# What lets whoever owns a database leave it: other servers, files, programs, other databases' pages and statements.
DANGEROUS = {
    "adminpack": "it writes files of the server",
    "dblink": "it connects to other databases, as the server",
    "file_fdw": "it reads files of the server and runs programs",
    "pageinspect": "it reads pages past every privilege",
    "pg_buffercache": "it shows what other databases read",
    "pg_cron": "it runs statements in other databases",
    "pg_surgery": "it changes tables past all checks",
    "pg_walinspect": "it shows what other databases write",
    "plperlu": "its functions run any program",
    "plpython3u": "its functions run any program",
    "pltclu": "its functions run any program",
    "plsh": "its functions run any program",
    "postgres_fdw": "it connects to other servers, as this one",
}


@dataclass(frozen=True)
class ExtensionView:
    """An extension of an app's server.

    `state`: `installed` in the app's main database, `trusted` (the app's owner may make it), `allowed` (howdah makes
    it), or `refused`; `why` it is.
    """

    name: str
    version: str
    state: str
    schema: str | None
    comment: str | None
    why: str | None


@dataclass(frozen=True)
class AllowedExtensions:
    """What apps of an instance may have though it takes a superuser."""

    instance: str
    extensions: Sequence[str]
