"""Where an app's database is and who logs in there, without a password: what `connect` and `env` speak of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from howdah.cli.client import url_path
from howdah.domain.errors import HowdahError
from howdah.domain.passwords import database_url

if TYPE_CHECKING:
    from howdah.cli.client import Client

# What stands where a password belongs. A reader sees that it is none, and so does the server.
NO_PASSWORD = "PASSWORD"  # noqa: S105


@dataclass(frozen=True)
class Place:
    """One login's way to its database; `limit` is how many connections it may hold, -1 for any number."""

    app: str
    database: str
    host: str
    port: int
    tls: bool
    login: str
    access: str
    limit: int
    purpose: str = "main"

    @property
    def url(self) -> str:
        """The login's URL with a placeholder for the password."""
        return database_url(self.login, NO_PASSWORD, self.host, self.port, self.database)


def places(client: Client, app: str) -> list[Place]:
    """The way of each of the app's logins: the owner's first, added ones after its own, last those about to go."""
    info = client.get(url_path("apps", app))
    instance = client.get(url_path("instances", info["instance"]))
    details: dict[str, dict[str, Any]] = {each["login"]: each for each in info["login_details"]}
    logins = [login for login in info["logins"] if login in details]
    logins.sort(key=lambda login: (details[login].get("state") == "retiring", bool(details[login].get("label"))))
    return [
        Place(
            app=info["app"],
            database=details[login]["database"],
            host=instance["host"],
            port=instance["port"],
            tls=instance["tls"],
            login=login,
            access=details[login]["access"],
            limit=details[login]["connection_limit"],
            purpose=details[login]["purpose"],
        )
        for login in logins
    ]


def place_of(client: Client, app: str, access: str, purpose: str = "main") -> Place:
    """The way of the app's login of that access to its database for `purpose`.

    Raises HowdahError `database_not_found`, `login_not_found`.
    """
    there = [place for place in places(client, app) if place.purpose == purpose]
    for place in there:
        if place.access == access:
            return place
    if not there and purpose != "main":
        raise HowdahError(
            "database_not_found",
            f'app "{app}" has no {purpose} database',
            hint=f"`howdah create {app} --{purpose}-db` adds one.",
        )
    which = "" if purpose == "main" else f" for its {purpose} database"
    raise HowdahError("login_not_found", f"{app} has no {access} login{which}", hint=f"See `howdah logins {app}`.")
