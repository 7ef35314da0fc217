"""What is done with one database of a dump: pg_restore as its own login, and what pg_restore can't do."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from howdah.domain.dumps import DumpedDatabase, DumpedPolicy, DumpedSetting, role_of
from howdah.domain.errors import HowdahError
from howdah.domain.records import DatabaseRecord
from howdah.domain.specs import Access
from howdah.instances.adopted import write_password
from howdah.postgres.connections import Connection
from howdah.postgres.contents import setting_contexts
from howdah.postgres.programs import Programs, complaints
from howdah.services.core import Instance

_LONGEST_S = 7 * 86400.0
# pg_restore's list: number, the catalog's OID and the object's, what it is, its schema, name and owner.
_POLICY = re.compile(r"\d+; 3256 \d+ POLICY ")
_COMMENT = re.compile(r"\d+; 0 0 COMMENT ")
# Whether an app itself may make one of these depends on what it says, and nothing else of the app depends on it.
_APART = re.compile(r"\d+; \d+ \d+ ((?:COMMENT - )?(?:EVENT TRIGGER|PUBLICATION|SUBSCRIPTION) .*) \S+$")
_QUERY = "could not execute query: ERROR:  "
# Settings that are lists of names: each is a value of its own (GUC_LIST_QUOTE in PostgreSQL's sources).
_LISTS = {"search_path", "temp_tablespaces"}
_NAME_IN_LIST = re.compile(r'"((?:[^"]|"")*)"|([^,\s]+)')


class Restore:
    """Of one database, which is there and empty, and which nobody else gets into."""

    def __init__(
        self,
        instance: Instance,
        programs: Programs,
        database: DatabaseRecord,
        dumped: DumpedDatabase,
        passwords: Mapping[str, str],
        extensions: Sequence[str],
        left_out: Sequence[str] = (),
    ):
        self._instance = instance
        self._programs = programs
        self._database = database
        self._dumped = dumped
        self._extensions = [each for each in dumped.extensions if each.name in extensions]
        self._login = next(r.name for r in database.logins if r.access is Access.OWNER and r.enabled)
        self._password = passwords[self._login]
        self._left_out = left_out
        self._notices: list[str] = []

    @property
    def _conninfo(self) -> str:
        own = self._instance.ways.conninfo_as(self._login, self._password, self._database.name)
        return make_conninfo(own, application_name="howdah load")

    def run(self, file: Path) -> list[str]:
        """Restore all that is in the file; what had to be left out is returned. Raises HowdahError `load_failed`."""
        self._make_extensions()
        write_password(file.with_suffix(".pgpass"), self._password)
        lines = self._list(file)
        said = self._restore(file, [line for line in lines if not _APART.match(line)])
        if said is not None:
            raise self._failed(said)
        self._restore_apart(file, [line for line in lines if _APART.match(line)])
        try:
            with psycopg.connect(self._conninfo, autocommit=True) as session:
                session.execute("SET statement_timeout = 0")
                for policy in self._dumped.policies:
                    self._make_policy(session, policy)
                # What the server itself owns can't be analysed by an app.
                session.execute("SET client_min_messages = error")
                session.execute("ANALYZE")
        except psycopg.Error as error:
            raise self._failed(error.diag.message_primary or "the connection was lost") from None
        return self._notices

    def _restore(self, file: Path, lines: Sequence[str], *options: str) -> str | None:
        """Restore what is listed; what went wrong, if something did."""
        listed = file.with_suffix(".list")
        listed.write_text("\n".join(lines) + "\n")
        # The password is in that file alone: anybody may see what a program was started with.
        where = make_conninfo(self._conninfo, password=None, passfile=str(file.with_suffix(".pgpass")))
        arguments = ("--exit-on-error", "--no-owner", "--no-privileges", "--no-password", f"--use-list={listed}")
        result = self._programs.run(
            "pg_restore", *arguments, *options, f"--dbname={where}", str(file), timeout=_LONGEST_S
        )
        if result.status == 0:
            return None
        return complaints("pg_restore", result.errors) or f"pg_restore ended with status {result.status}."

    def _restore_apart(self, file: Path, lines: Sequence[str]) -> None:
        """All at once, or one by one, without those that only a superuser makes."""
        if not lines or self._restore(file, lines, "--single-transaction") is None:
            return
        missing: list[str] = []
        for line in lines:
            match = _APART.match(line)
            assert match is not None
            # Without the dash that stands where a schema would.
            what = match[1].replace(" - ", " ", 1)
            if what.removeprefix("COMMENT ") in missing:
                continue
            if said := self._restore(file, [line]):
                missing.append(what)
                self._notices.append(f"{what} was left out: {said.splitlines()[0].removeprefix(_QUERY)}.")

    def _failed(self, said: str) -> HowdahError:
        return HowdahError(
            "load_failed",
            f"the {self._dumped.purpose} database could not be restored",
            detail=said or None,
            hint="Nothing of it is left. What an app itself may not make, an admin had made: such things don't load.",
        )

    def _make_extensions(self) -> None:
        """Those that an app's login can't make, in the schemas where they were."""
        if not self._extensions:
            return
        schemas = [each.schema for each in self._extensions if each.schema not in ("public", "pg_catalog")]
        with psycopg.connect(self._conninfo, autocommit=True) as session:
            for schema in dict.fromkeys(schemas):
                session.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        with self._instance.connector.connect(self._database.name) as inside:
            for each in self._extensions:
                names = sql.Identifier(each.name), sql.Identifier(each.schema)
                try:
                    inside.execute(sql.SQL("CREATE EXTENSION {} SCHEMA {} CASCADE").format(*names))
                except psycopg.Error as error:
                    raise self._failed(error.diag.message_primary or type(error).__name__) from None

    def _list(self, file: Path) -> list[str]:
        """What pg_restore is to do: not what was made beforehand, and not what names roles."""
        result = self._programs.run("pg_restore", "--list", str(file), timeout=600)
        if result.status != 0:
            raise self._failed(complaints("pg_restore", result.errors))
        made = {f" COMMENT - EXTENSION {each.name} " for each in self._extensions}
        made |= {f" SCHEMA - {each.schema} " for each in self._extensions if each.schema != "public"}
        commented = {f"{each.schema} POLICY " for each in self._dumped.policies}

        def later(line: str) -> bool:
            comment = _COMMENT.match(line)
            return bool(_POLICY.match(line)) or (
                comment is not None and any(line.startswith(each, comment.end()) for each in commented)
            )

        lines = [line for line in result.output.splitlines() if not line.startswith(";") and not later(line)]
        return [line for line in lines if not any(each in f"{line} " for each in (*made, *self._left_out))]

    def _make_policy(self, session: psycopg.Connection, policy: DumpedPolicy) -> None:
        roles = list(self._roles(session, policy))
        if not roles:
            return
        table = sql.Identifier(policy.schema, policy.table)
        name = sql.Identifier(policy.name)
        # The expressions are the app's own SQL, as all of the dump is, and run as its login.
        parts: list[sql.Composable] = [
            sql.SQL("CREATE POLICY {} ON {} AS {} FOR {} TO {}").format(
                name,
                table,
                sql.SQL("PERMISSIVE" if policy.permissive else "RESTRICTIVE"),
                _literally(policy.command),
                sql.SQL(", ").join(roles),
            )
        ]
        if policy.using is not None:
            parts.append(_literally(f"USING ({policy.using})"))
        if policy.check is not None:
            parts.append(_literally(f"WITH CHECK ({policy.check})"))
        session.execute(sql.SQL(" ").join(parts))
        if policy.comment is not None:
            comment = sql.SQL("COMMENT ON POLICY {} ON {} IS {}")
            session.execute(comment.format(name, table, sql.Literal(policy.comment)))

    def _roles(self, session: psycopg.Connection, policy: DumpedPolicy) -> Iterator[sql.Composable]:
        for key in policy.roles:
            name, own = role_of(self._database, key)
            if own:
                yield sql.SQL("PUBLIC") if name is None else sql.Identifier(name)
            elif session.execute("SELECT FROM pg_catalog.pg_roles WHERE rolname = %s", [name]).rowcount:
                yield sql.Identifier(name or "")
            else:
                self._notices.append(
                    f'Policy "{policy.name}" on {policy.schema}.{policy.table} isn\'t for role "{name}" any more: '
                    "there is none here."
                )

    def set_settings(self, connection: Connection) -> list[str]:
        """Set what was set of the database and its logins, and what is said of it; what isn't an app's is returned.

        Whoever wrote the file could otherwise have a superuser change anything.
        """
        left_out = []
        database = sql.Identifier(self._database.name)
        contexts = setting_contexts(connection, [setting.name for setting in self._dumped.settings])
        for setting in self._dumped.settings:
            context = contexts.get(setting.name, "user" if "." in setting.name else "unknown")
            if context != "user" or setting.name in ("role", "session_authorization"):
                left_out.append(f"{setting.name} isn't set: it is the admin's to set, as it was {setting.value}.")
                continue
            change = sql.SQL("SET {} TO {}").format(sql.Identifier(*setting.name.split(".")), _value(setting))
            where = self._of(setting)
            target = sql.SQL("DATABASE {}").format(database)
            if where is not None:
                target = sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(where), database)
            try:
                connection.execute(sql.SQL("ALTER {} {}").format(target, change))
            except psycopg.Error as error:
                left_out.append(f"{setting.name} isn't set: {error.diag.message_primary}.")
        if self._dumped.comment is not None:
            comment = sql.SQL("COMMENT ON DATABASE {} IS {}")
            connection.execute(comment.format(database, sql.Literal(self._dumped.comment)))
        return left_out

    def _of(self, setting: DumpedSetting) -> str | None:
        """The login that a setting is of; None for the database."""
        if setting.access is None:
            return None
        return next(
            r.name
            for r in self._database.logins
            if (r.access, r.twin_of is not None) == (setting.access, setting.twin)
        )


def _literally(text: str) -> sql.SQL:
    return sql.SQL(text)


def _value(setting: DumpedSetting) -> sql.Composable:
    if setting.name.lower() not in _LISTS:
        return sql.Literal(setting.value)
    names = [quoted.replace('""', '"') or plain for quoted, plain in _NAME_IN_LIST.findall(setting.value)]
    return sql.SQL(", ").join(map(sql.Literal, names or [""]))
