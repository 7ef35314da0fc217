"""One access control list: the REVOKEs and GRANTs from the observed entries to the wanted ones."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from howdah.domain.observed import Grant, Grants
from howdah.domain.sql import grantee as quoted

Wanted = Mapping[str, frozenset[str]]

# The order in which PostgreSQL's manual lists them, for people who read plans.
_ORDER = (
    *("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"),
    *("USAGE", "CREATE", "CONNECT", "TEMPORARY", "EXECUTE"),
)


def _in_order(privileges: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(privileges), key=lambda p: (_ORDER.index(p) if p in _ORDER else len(_ORDER), p)))


@dataclass(frozen=True)
class Change:
    """A GRANT or REVOKE of some privileges for one grantee, still without the object it is about.

    `verb` is GRANT, REVOKE, GRANT OPTION (the privilege with the option to grant it) or REVOKE GRANT OPTION.
    """

    grantee: str
    privileges: tuple[str, ...]
    verb: str

    def describe(self, what: str) -> str:
        """The change in words: `grant SELECT on table t to myapp_ro`."""
        words, role = ", ".join(self.privileges), self.grantee or "PUBLIC"
        if self.verb == "GRANT":
            return f"grant {words} on {what} to {role}"
        if self.verb == "GRANT OPTION":
            return f"get hold of what {role} granted of {words} on {what}"
        option = "the option to grant " if self.verb == "REVOKE GRANT OPTION" else ""
        return f"revoke {option}{words} on {what} from {role}"

    def sql(self, target: str, *, prefix: str = "", column: str | None = None) -> str:
        """The statement's text on `target` (`TABLE "s"."t"`, `DATABASE "d"` …).

        `prefix` goes before the verb (ALTER DEFAULT PRIVILEGES …), `column` is a quoted column name.
        """
        what = ", ".join(f"{p} ({column})" if column else p for p in self.privileges)
        role = quoted(self.grantee)
        if self.verb == "GRANT":
            return f"{prefix}GRANT {what} ON {target} TO {role}"
        if self.verb == "GRANT OPTION":
            return f"{prefix}GRANT {what} ON {target} TO {role} WITH GRANT OPTION"
        only_option = "GRANT OPTION FOR " if self.verb == "REVOKE GRANT OPTION" else ""
        # CASCADE, since whoever holds a grant option may have passed the privilege on.
        return f"{prefix}REVOKE {only_option}{what} ON {target} FROM {role} CASCADE"


def change_owner(grants: Grants, old: str, new: str) -> Grants:
    """What ALTER … OWNER makes of a list: the new owner stands where the old one stood (aclnewowner does)."""

    def swap(name: str) -> str:
        return new if name == old else name

    merged: dict[tuple[str, str, str], bool] = defaultdict(bool)
    for grant in grants:
        merged[swap(grant.grantee), grant.privilege, swap(grant.grantor)] |= grant.grantable
    return frozenset(
        Grant(grantee, privilege, grantor, grantable) for (grantee, privilege, grantor), grantable in merged.items()
    )


def diff_grants(observed: Grants, wanted: Wanted, owner: str) -> Iterator[Change]:
    """The changes after which the list holds exactly `wanted`, besides what the owner gives itself.

    Only entries granted by the owner count as had: one that came through somebody's grant option
    goes when that option is revoked, and is granted anew by the owner where it is wanted.
    """
    revoked: dict[str, list[str]] = defaultdict(list)
    options: dict[str, list[str]] = defaultdict(list)
    had: dict[str, set[str]] = defaultdict(set)
    for grant in observed:
        if grant.grantee == owner or grant.grantor != owner:
            continue
        if grant.privilege not in wanted.get(grant.grantee, ()):
            revoked[grant.grantee].append(grant.privilege)
        else:
            had[grant.grantee].add(grant.privilege)
            if grant.grantable:
                options[grant.grantee].append(grant.privilege)
    for name, privileges in sorted(_left_behind(observed, owner).items()):
        yield Change(name, _in_order(privileges), "GRANT OPTION")
        for privilege in privileges:
            (options if privilege in wanted.get(name, ()) else revoked)[name].append(privilege)
    # Options first: while a group still has one, PostgreSQL counts its members as having it, and what they
    # granted outlives the CASCADE of their own REVOKE.
    for name in sorted(options):
        yield Change(name, _in_order(options[name]), "REVOKE GRANT OPTION")
    for name in sorted(revoked):
        yield Change(name, _in_order(revoked[name]), "REVOKE")
    for name in sorted(wanted):
        if name != owner and (missing := wanted[name] - had[name]):
            yield Change(name, _in_order(missing), "GRANT")


def _left_behind(observed: Grants, owner: str) -> dict[str, set[str]]:
    """By grantor, privileges it granted whose option it holds no more: no REVOKE reaches those as they stand."""
    holders = {(g.grantee, g.privilege) for g in observed if g.grantable}
    left: dict[str, set[str]] = defaultdict(set)
    for grant in observed:
        if grant.grantor != owner and (grant.grantor, grant.privilege) not in holders:
            left[grant.grantor].add(grant.privilege)
    return left
