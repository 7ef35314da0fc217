"""Golden plans: every statement of a create, for each kind of server. Run with --update-golden to rewrite."""

from dataclasses import replace
from pathlib import Path

import pytest

from howdah.domain.diff import diff_database, diff_login, diff_maintenance
from howdah.domain.errors import HowdahError
from howdah.domain.observed import PUBLIC, DatabaseState, Grant, ObservedDatabase
from howdah.domain.records import new_database
from howdah.domain.server import Server
from howdah.domain.specs import DatabaseSpec, Locale, Provider

NOTHING = ObservedDatabase({}, frozenset(), frozenset(), None, None, {}, {})
GOLDEN = Path(__file__).parent / "golden"


def spec() -> DatabaseSpec:
    return new_database("myapp").spec(verifiers={"myapp_user": "SCRAM-1", "myapp_readonly": "SCRAM-2"})


def superuser(major: int) -> Server:
    return Server(major * 10000, superuser=True, control_role="howdah", grantor="howdah")


@pytest.mark.parametrize("major", [13, 15, 18])
def test_create(major: int, pytestconfig: pytest.Config) -> None:
    plan = diff_database(spec(), NOTHING, superuser(major))
    text = "".join(f"{s.shown};  -- {s.description} [{s.database or 'postgres'}]\n" for s in plan)
    golden = GOLDEN / f"create_{major}_superuser.sql"
    if pytestconfig.getoption("--update-golden"):
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize(
    ("major", "locale", "options"),
    [
        (14, Locale(Provider.LIBC, "de_DE.UTF-8", "C"), "LC_COLLATE 'de_DE.UTF-8' LC_CTYPE 'C'"),
        (18, Locale(Provider.LIBC, "C", "C"), "LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER 'libc'"),
        (
            18,
            Locale(Provider.ICU, "C", "C", "de-u-co-phonebk", "&a < b"),
            "LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER 'icu' ICU_LOCALE 'de-u-co-phonebk' ICU_RULES '&a < b'",
        ),
        (
            18,
            Locale(Provider.BUILTIN, "C", "C", "C.UTF-8"),
            "LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER 'builtin' BUILTIN_LOCALE 'C.UTF-8'",
        ),
    ],
)
def test_another_locale_than_the_servers(major: int, locale: Locale, options: str) -> None:
    server = replace(superuser(major), template="template1")
    sql = [s.sql for s in diff_database(replace(spec(), locale=locale), NOTHING, server)]
    (made,) = (s for s in sql if s.startswith("CREATE DATABASE"))
    assert f" TEMPLATE template0 ENCODING 'UTF8' {options} ALLOW_CONNECTIONS false" in made.replace('"', "")


def test_the_gate_opens_last_and_nothing_else_opens_it() -> None:
    plan = diff_database(spec(), NOTHING, superuser(18))
    connects = [i for i, s in enumerate(plan) if "CONNECT ON DATABASE" in s.sql and s.sql.startswith("GRANT")]
    assert connects == [len(plan) - 1]


def test_public_is_shut_out_before_the_database_takes_connections() -> None:
    sql = [s.sql for s in diff_database(spec(), NOTHING, superuser(18))]
    created = next(i for i, s in enumerate(sql) if s.startswith("CREATE DATABASE"))
    shut = next(i for i, s in enumerate(sql) if s.startswith("REVOKE CONNECT, TEMPORARY ON DATABASE"))
    allowed = next(i for i, s in enumerate(sql) if s.endswith("ALLOW_CONNECTIONS true"))
    assert "ALLOW_CONNECTIONS false" in sql[created]
    assert created < shut < allowed


def test_only_passwords_are_secret() -> None:
    secret = [s for s in diff_database(spec(), NOTHING, superuser(18)) if s.secret]
    assert [s.sql for s in secret] == [
        "ALTER ROLE \"myapp_user\" PASSWORD 'SCRAM-1'",
        "ALTER ROLE \"myapp_readonly\" PASSWORD 'SCRAM-2'",
    ]


def test_the_plan_of_one_login_is_about_nothing_else() -> None:
    plan = diff_login(spec(), "myapp_user", NOTHING, superuser(18))
    assert [s.sql.split(" ")[0] for s in plan] == ["CREATE", "GRANT", "ALTER", "ALTER"]
    assert all('"myapp_user"' in s.sql for s in plan)


def test_a_half_dropped_database_is_not_planned_around() -> None:
    broken = DatabaseState("myapp_db", 1, "howdah", True, False, -2, frozenset())
    observed = ObservedDatabase({}, frozenset(), frozenset(), broken, None, {}, {})
    with pytest.raises(HowdahError) as caught:
        diff_database(spec(), observed, superuser(18))
    assert caught.value.code == "database_invalid"


def test_maintenance_databases_are_shut() -> None:
    grants = frozenset(Grant(PUBLIC, p, "howdah") for p in ("CONNECT", "TEMPORARY"))
    state = DatabaseState("postgres", 5, "howdah", True, False, -1, grants)
    plan = diff_maintenance([state], {})
    assert [s.sql for s in plan] == ['REVOKE CONNECT, TEMPORARY ON DATABASE "postgres" FROM PUBLIC CASCADE']
