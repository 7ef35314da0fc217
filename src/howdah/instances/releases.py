"""Security releases of PostgreSQL that howdah knows of: plain data, each with its date and source."""

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple


class ServerVersion(NamedTuple):
    """A server's version: `18.6` is `ServerVersion(18, 6)`."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    @property
    def number(self) -> int:
        """As `server_version_num` says it: 180006."""
        return self.major * 10000 + self.minor


@dataclass(frozen=True)
class SecurityRelease:
    """`first_fixed`: per major, the first minor with the fixes. `last_lacking`: the last minor known to lack
    them, for majors whose first fixed minor isn't known to this table."""

    day: date
    fixes: str
    source: str
    first_fixed: dict[int, int]
    last_lacking: dict[int, int]

    def lacks(self, version: ServerVersion) -> bool:
        if version.major in self.first_fixed:
            return version.minor < self.first_fixed[version.major]
        return version.minor <= self.last_lacking.get(version.major, -1)


# Newest first: a server that lacks several is told of the newest, which carries the fixes of all before it.
SECURITY_RELEASES = (
    SecurityRelease(
        day=date(2026, 11, 13),
        fixes="42 CVEs",
        source="Debian's changelogs of postgresql-15 15.20 and postgresql-17 17.12",
        first_fixed={15: 20, 17: 12},
        last_lacking={14: 23, 16: 14, 18: 6},
    ),
    SecurityRelease(
        day=date(2026, 5, 14),
        fixes="11 CVEs",
        source="PostgreSQL's announcement of 18.4, 17.10, 16.14, 15.18 and 14.23",
        first_fixed={14: 23, 15: 18, 16: 14, 17: 10, 18: 4},
        last_lacking={},
    ),
    # The last one that 13 got.
    SecurityRelease(
        day=date(2025, 11, 13),
        fixes="2 CVEs",
        source="PostgreSQL's announcement of 18.1, 17.7, 16.11, 15.15, 14.20 and 13.23",
        first_fixed={13: 23, 14: 20, 15: 15, 16: 11, 17: 7, 18: 1},
        last_lacking={},
    ),
)

# The day of each major's last release, from PostgreSQL's versioning policy.
END_OF_LIFE = {
    13: date(2025, 11, 13),
    14: date(2026, 11, 12),
    15: date(2027, 11, 11),
    16: date(2028, 11, 9),
    17: date(2029, 11, 8),
    18: date(2030, 11, 14),
}


def notice(version: ServerVersion, today: date | None = None, *, own: bool = True) -> str | None:
    """What a person should know about the running minor's age in one or two sentences, or None.

    `own` False: of a server that howdah doesn't run.
    """
    said: list[str] = []
    for release in SECURITY_RELEASES:
        if release.lacks(version):
            said.append(f"PostgreSQL {version} lacks the security release of {release.day} ({release.fixes}).")
            if (minor := release.first_fixed.get(version.major)) is not None:
                said.append(f"Use {version.major}.{minor} or newer.")
            elif own:
                said.append("For production use a PostgreSQL that your system keeps patched, with --pg-bin.")
            break
    ended = END_OF_LIFE.get(version.major)
    if ended is not None and (today or date.today()) > ended:
        said.append(f"PostgreSQL {version.major} has had no fixes since {ended}: plan to move to a newer major.")
    return " ".join(said) or None
