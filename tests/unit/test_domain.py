"""The domain's small rules."""

import ast
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

import howdah
from howdah.domain.errors import CODES, HowdahError
from howdah.domain.home import Home, default_home
from howdah.domain.names import check_app_name, names_for
from howdah.domain.passwords import database_url, mint
from howdah.domain.plans import Statement, batches

SOURCE = Path(howdah.__file__).parent


def refusal(name: str) -> HowdahError | None:
    try:
        check_app_name(name)
    except HowdahError as error:
        return error
    return None


def accepted(name: str) -> bool:
    return refusal(name) is None


@given(st.text())
def test_names_outside_the_rule_are_refused(name: str) -> None:
    if error := refusal(name):
        assert error.code == "invalid_name"
        assert error.hint
        assert "\n" not in error.message
    else:
        assert re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name)
        assert "__" not in name
        assert not name.startswith(("howdah", "pg_"))


@given(st.from_regex(r"[a-z][a-z0-9]{0,9}(_[a-z0-9]{1,9}){0,3}", fullmatch=True))
def test_accepted_names_give_names_that_postgresql_does_not_cut(name: str) -> None:
    if not accepted(name):
        assert (
            len(name) > 40 or name.startswith(("howdah", "pg_")) or name in {"postgres", "public", "none", "template"}
        )
        return
    names = names_for(name)
    everything = [
        names.gate,
        names.owner,
        names.readwrite,
        names.readonly,
        *names.user_logins,
        *names.readonly_logins,
    ]
    assert len(set(everything)) == 8
    assert all(len(n.encode()) <= 63 for n in everything)


@given(
    st.from_regex(r"[a-z][a-z0-9]{0,9}(_[a-z0-9]{1,9}){0,2}", fullmatch=True),
    st.from_regex(r"[a-z][a-z0-9]{0,9}(_[a-z0-9]{1,9}){0,2}", fullmatch=True),
)
def test_two_apps_may_meet_in_a_name_but_never_in_their_first_database(one: str, two: str) -> None:
    if one != two and accepted(one) and accepted(two):
        assert names_for(one).database != names_for(two).database


def test_passwords_are_long_plain_and_never_the_same() -> None:
    minted = {mint() for _ in range(1000)}
    assert len(minted) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{32,}", password) for password in minted)


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_urls_carry_whatever_they_are_given(login: str, password: str, database: str) -> None:
    for text in (login, password, database):
        if any(0xD800 <= ord(c) <= 0xDFFF for c in text):
            return
    parts = urlsplit(database_url(login, password, "db.example.com", 5433, database))
    assert (parts.scheme, parts.hostname, parts.port) == ("postgresql", "db.example.com", 5433)
    assert unquote(parts.username or "") == login
    assert unquote(parts.password or "") == password
    assert unquote(parts.path) == f"/{database}"


def test_ipv6_hosts_stand_in_brackets() -> None:
    assert "@[::1]:5432/" in database_url("u", "p", "::1", 5432, "d")


def test_homes() -> None:
    assert default_home({"HOWDAH_HOME": "/x"}, 0) == Path("/x")
    assert default_home({}, 0) == Path("/var/lib/howdah")
    assert default_home({"HOME": "/home/a"}, 1000) == Path("/home/a/.local/state/howdah")
    assert default_home({"HOME": "/home/a", "XDG_STATE_HOME": "/s"}, 1000) == Path("/s/howdah")
    assert Home(Path("/x")).api_socket == Path("/x/run/api.sock")


def test_statements_that_follow_each_other_share_a_transaction() -> None:
    plan = [
        Statement("a", "A"),
        Statement("b", "B"),
        Statement("c", "C", transactional=False),
        Statement("d", "D", transactional=False),
        Statement("e", "E", database="x"),
        Statement("f", "F"),
    ]
    assert [[s.sql for s in batch] for batch in batches(plan)] == [["A", "B"], ["C"], ["D"], ["E"], ["F"]]


def test_a_secret_is_masked_wherever_a_statement_is_shown() -> None:
    statement = Statement("set password", "ALTER ROLE x PASSWORD 'S3CRET'", secret="S3CRET")
    assert "S3CRET" not in statement.shown + repr(statement)


def test_every_code_that_is_raised_is_in_the_table() -> None:
    raised = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "HowdahError" and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    raised.add(first.value)
    assert raised <= set(CODES)
    assert len(raised) > 20


def test_every_code_has_one_exit_status_and_one_http_status() -> None:
    for code, category in CODES.items():
        assert 1 <= category.exit_status <= 125, code
        assert 400 <= category.http_status <= 599, code
    with pytest.raises(KeyError):
        HowdahError("no_such_code", "x")
