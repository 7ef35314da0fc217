"""What `howdah create` prints, read as a script would, and who one is with a URL."""

import psycopg

from tests.support import Howdah


def lines(text: str) -> dict[str, str]:
    """`.env` lines as a mapping."""
    return dict(line.split("=", 1) for line in text.splitlines())


def who(url: str) -> str:
    with psycopg.connect(url) as session:
        row = session.execute("SELECT current_user || ' in ' || current_database()").fetchone()
    assert row is not None
    return str(row[0])


def added(howdah: Howdah, app: str, *words: str) -> dict[str, str]:
    return lines(howdah.run("create", app, *words).stdout)
