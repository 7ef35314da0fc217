"""One double's attack: every attempt of the table that fits it, over connections of its own, and how each ended."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import SystemRandom

from howdah.domain.attempts import (
    ANYONE,
    DENIED,
    NEEDED,
    NEIGHBOURS,
    READONLY,
    SESSIONS,
    SHELLS,
    Attempt,
    Judgement,
    fill,
    judge,
    usable,
)
from howdah.domain.errors import HowdahError
from howdah.domain.proofs import FoundBy, Hole
from howdah.domain.server import Server
from howdah.domain.specs import Access, DatabaseSpec
from howdah.domain.sql import ident, literal
from howdah.postgres.attacks import UNKNOWN_REFUSAL, Attacker, AttackError, Pace, try_connection
from howdah.services.core import Ways
from howdah.services.doubles import Double

_WENT_THROUGH = "00000"
# So many attempts are sent together: some milliseconds of work for the server.
_AT_ONCE = 100
_GATE = "the gate alone has CONNECT, and pg_hba.conf asks for a member of it"
_PER_DATABASE = "PostgreSQL keeps it apart for each database"
_REFUSED = (DENIED, "28000", "55000")
# It comes before privileges are looked at, and says nothing of them.
_PASSWORD = "28P01"  # noqa: S105


@dataclass
class Tally:
    """How a double's attempts ended; `beyond` says of those that went through as they must why that is."""

    attempts: int = 0
    held: int = 0
    beyond: dict[str, str] = field(default_factory=dict)
    undecided: list[str] = field(default_factory=list)
    left_out: int = 0
    needed: int = 0
    unable: int = 0
    holes: list[Hole] = field(default_factory=list)

    @property
    def open(self) -> int:
        """Attempts that went through."""
        return sum(hole.found_by is FoundBy.ATTEMPT for hole in self.holes)


@dataclass(frozen=True)
class _Chosen:
    attempt: Attempt
    words: Mapping[str, str]

    @property
    def sql(self) -> str:
        return fill(self.attempt.sql, self.words)


@dataclass(frozen=True)
class Surroundings:
    """What is around the double on its server. `neighbours` are other databases of apps, `shells` those of nobody;
    `opened` are the ones of them that are open to PUBLIC there, which is no hole of an app's; of `readable` ones
    PUBLIC has CONNECT, though it may not get in.
    """

    server: Server
    ways: Ways
    admin: str | None
    bootstrap: str
    neighbours: Sequence[DatabaseSpec]
    shells: Sequence[str]
    opened: frozenset[str]
    readable: frozenset[str]
    english: bool
    socket: str | None


class Attack:
    """The attack of one double in its session, `me`; `victim` is a session of another login, where there is one."""

    def __init__(
        self,
        double: Double,
        spec: DatabaseSpec,
        me: Attacker,
        around: Surroundings,
        targets: Mapping[str, str],
        victim: Attacker | None,
        pace: Pace,
    ):
        self._double = double
        self._spec = spec
        self._me = me
        self._around = around
        self._victim = victim
        self._pace = pace
        self.tally = Tally()
        self._words = {**_own_words(double, spec, around), **targets}
        if "sequence" in targets:
            self._words["sequence_text"] = literal(targets["sequence"])

    def run(self) -> Tally:
        """All of it; what was tried before it fails is in the tally."""
        self._me.revive()
        self._needed()
        if self._double.access is Access.READONLY:
            # Its default is no wall: it may switch it off.
            self._me.execute("SET default_transaction_read_only = off")
        self._try_all(ANYONE)
        if self._double.access is Access.READONLY:
            self._try_all(READONLY)
            self._beyond_its_database()
        else:
            # It may leave its group. As the bare login it has the group's privileges and its own.
            self._me.execute("SET ROLE NONE")
            if self._me.value("SELECT current_user") != self._double.name:
                raise AttackError("SET ROLE NONE did not leave the group")
            self._try_all(ANYONE, "as the bare login: ")
            self._beyond_its_database()
            self._me.execute("RESET ROLE")
        self._connections()
        self._across_databases()
        return self.tally

    # Statements

    def _try_all(self, attempts: Sequence[Attempt], stance: str = "", **words: str) -> None:
        self._try_many(self._chosen(attempts, words), stance)

    def _chosen(self, attempts: Sequence[Attempt], words: Mapping[str, str]) -> list[_Chosen]:
        """The attempts that mean something here, with the words that are filled in."""
        known = {**self._words, **words}
        there = [each for each in attempts if each.since <= self._around.server.major <= each.until]
        chosen = [_Chosen(each, known) for each in there if usable(each.sql, known)]
        self.tally.left_out += len(there) - len(chosen)
        return chosen

    def _try_many(self, chosen: Sequence[_Chosen], stance: str = "") -> None:
        """Most are refused for want of privilege, which is told of many at a time; each other one is tried alone."""
        for first in range(0, len(chosen), _AT_ONCE):
            some = chosen[first : first + _AT_ONCE]
            together = [each for each in some if not each.attempt.alone and DENIED in each.attempt.refused]
            denied = self._me.denied([each.sql for each in together])
            refused = {id(each) for each, was in zip(together, denied, strict=True) if was}
            self.tally.attempts += len(refused)
            self.tally.held += len(refused)
            self._pace.breathe()
            for each in some:
                if id(each) not in refused:
                    self._try(each.attempt, each.words, stance)
                    self._pace.breathe()

    def _try(self, attempt: Attempt, words: Mapping[str, str], stance: str) -> None:
        sql = fill(attempt.sql, words)
        state, said = self._me.attempt(sql, alone=attempt.alone)
        judgement = judge(attempt, state, self._around.server)
        if judgement is Judgement.UNDECIDED and not self._me.lost:
            state, said = self._me.attempt(sql, alone=attempt.alone)
            judgement = judge(attempt, state, self._around.server)
        shown = fill(attempt.sql, {**words, "me": ident(self._double.original)})
        why = attempt.unless.limit if attempt.unless is not None else None
        self._count(attempt.name, judgement, state, said, f"{stance}{shown}", attempt.wall, why)

    def _count(
        self, name: str, judgement: Judgement, state: str, said: str, shown: str, wall: str, why: str | None = None
    ) -> None:
        self.tally.attempts += 1
        if judgement is Judgement.HELD:
            self.tally.held += 1
        elif judgement is Judgement.BEYOND:
            self.tally.beyond[name] = why or "this server has no wall against it"
        elif judgement is Judgement.UNDECIDED:
            self.tally.undecided.append(f"{self._double.original}: {name} ({state} {said})".rstrip())
        else:
            outcome = "went through" if state == _WENT_THROUGH else f"{state} {said}".rstrip()
            self._hole(FoundBy.ATTEMPT, name, shown, outcome, wall)

    def _hole(self, found_by: FoundBy, name: str, shown: str, outcome: str, wall: str) -> None:
        double = self._double
        self.tally.holes.append(
            Hole(double.app, double.database, double.original, found_by, name, shown, outcome, wall)
        )

    def _beyond_its_database(self) -> None:
        chosen = []
        for other in self._around.neighbours:
            chosen += self._chosen((*NEIGHBOURS, *SHELLS), _other_words(other))
        self._try_many(chosen)
        for database in self._around.shells:
            attempts = [each for each in SHELLS if not each.of_closed or database not in self._around.readable]
            self._try_all(attempts, other_db=ident(database), other_db_text=literal(database))
        if self._victim is not None:
            self._victim.revive()
            self._try_all(SESSIONS, other_pid=str(self._victim.pid))

    # What it must be able to do

    def _needed(self) -> None:
        for need in NEEDED:
            if need.access is not self._double.access or need.since > self._around.server.major:
                continue
            if need.unless is not None and not self._around.server.has(need.unless):
                continue
            full = self._spec.full and need.access is Access.OWNER
            # Of one whose room is used up, nobody expects that.
            if full or not all(usable(sql, self._words) for sql in need.statements):
                self.tally.left_out += 1
                continue
            self.tally.needed += 1
            failed = self._me.run_all([fill(sql, self._words) for sql in need.statements])
            if failed is not None:
                sql, state, said = failed
                self.tally.unable += 1
                shown = sql.replace(ident(self._double.name), ident(self._double.original))
                self._hole(FoundBy.NEED, need.name, shown, f"{state} {said}", "its access is for that")
            self._pace.breathe()

    # Connections

    def _connections(self) -> None:
        own = self._spec.name
        for database in [*(other.name for other in self._around.neighbours), *self._around.shells]:
            beyond = database in self._around.opened
            self._connect(f"connecting to database {database}", database, beyond=beyond)
        self._connect("connecting for replication", own, replication="true")
        self._connect("connecting for logical replication", own, replication="database")
        if self._around.socket is not None:
            self._connect("connecting over howdah's own socket", own, host=self._around.socket)

    def _connect(self, name: str, database: str, *, beyond: bool = False, **overrides: str) -> None:
        conninfo = self._conninfo(database)
        state, said = try_connection(conninfo, **overrides)
        judgement = Judgement.HELD if state in _REFUSED else Judgement.UNDECIDED
        if state == _WENT_THROUGH:
            judgement = Judgement.BEYOND if beyond else Judgement.HOLE
        elif state == UNKNOWN_REFUSAL and not self._around.english:
            # In a language that isn't known here: it is this database where the double's own lets it in.
            if try_connection(self._conninfo(self._spec.name))[0] == _WENT_THROUGH:
                judgement = Judgement.HELD
        elif state == _PASSWORD and overrides:
            judgement = Judgement.HELD
        how = "".join(f" {name}={value}" for name, value in overrides.items())
        shown = f"psql 'user={self._double.original} dbname={database}{how}'"
        self._count(name, judgement, state, said, shown, _GATE, open_database(database))
        self._pace.breathe()

    def _conninfo(self, database: str) -> str:
        return self._around.ways.conninfo_as(self._double.name, self._double.password, database)

    def _across_databases(self) -> None:
        """NOTIFY and advisory locks reach nobody in another database."""
        if self._victim is None:
            return
        self._victim.revive()
        key = SystemRandom().randrange(1 << 62)
        channel = f"howdah_x_{key}"
        self._victim.execute(f"LISTEN {channel}; SELECT pg_advisory_lock({key})")
        try:
            self._me.execute(f"NOTIFY {channel}")
            heard = self._victim.heard()
            kept_out = self._me.value(f"SELECT pg_try_advisory_lock({key})") != "t"
            self._me.execute(f"SELECT pg_advisory_unlock({key})")
        finally:
            self._victim.execute(f"UNLISTEN {channel}; SELECT pg_advisory_unlock({key})")
        for name, wrong in (("NOTIFY across databases", heard), ("an advisory lock across databases", kept_out)):
            judgement = Judgement.HOLE if wrong else Judgement.HELD
            self._count(name, judgement, _WENT_THROUGH, "", name, _PER_DATABASE)


def open_database(database: str) -> str:
    """What is said of a database that is open to PUBLIC."""
    return f'every login may connect to database "{database}"'


def _own_words(double: Double, spec: DatabaseSpec, around: Surroundings) -> dict[str, str]:
    words = {
        "me": ident(double.name),
        "db": ident(spec.name),
        "gate": ident(spec.gate),
        "owner": ident(spec.owner),
        "rw": ident(spec.readwrite),
        "ro": ident(spec.readonly),
        "owner_text": literal(spec.owner),
        "ro_text": literal(spec.readonly),
        "control": ident(around.server.control_role),
        "bootstrap": ident(around.bootstrap),
    }
    if around.admin is not None:
        words["admin"] = ident(around.admin)
    for access, names in ((Access.OWNER, ("user", "user2")), (Access.READONLY, ("reader", "reader2"))):
        logins = [login.name for login in spec.logins if login.access is access and not login.short_lived]
        words |= dict(zip(names, map(ident, logins), strict=False))
    return words


def _other_words(other: DatabaseSpec) -> dict[str, str]:
    words = {
        "other_db": ident(other.name),
        "other_db_text": literal(other.name),
        "other_gate": ident(other.gate),
        "other_owner": ident(other.owner),
        "other_rw": ident(other.readwrite),
        "other_ro": ident(other.readonly),
    }
    for word, access in (("other_user", Access.OWNER), ("other_reader", Access.READONLY)):
        names = [login.name for login in other.logins if login.access is access and not login.short_lived]
        if names:
            words[word] = ident(names[0])
    return words


def opened(double: Double, ways: Ways) -> Attacker:
    """The double's session. Raises HowdahError `statement_failed` where it doesn't get in."""
    import psycopg

    try:
        return Attacker(ways.conninfo_as(double.name, double.password, double.database))
    except psycopg.OperationalError as error:
        raise HowdahError("statement_failed", "the double can't log in", detail=str(error).strip()) from None


def ring(databases: Sequence[DatabaseSpec], own: DatabaseSpec, most: int) -> Iterator[DatabaseSpec]:
    """At most so many other databases, beginning with the one after `own`: all of them are somebody's target."""
    names = [each.name for each in databases]
    at = names.index(own.name)
    others = [*databases[at + 1 :], *databases[:at]]
    yield from others[:most]
