"""Extensions that take a superuser: made for apps from a list, and never with an app's own code in the way."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.services.platform import Platform
from tests.foreign_server import foreign_server
from tests.integration.test_drops import make
from tests.integration.test_restores import code_of
from tests.support import SERVER_BIN


@pytest.fixture(scope="module")
def urls(platform: Platform) -> Iterator[list[str]]:
    urls = make(platform, "extended")
    yield urls
    for name in platform.extensions.allowed("home").extensions:
        platform.extensions.allow("home", name, "test", allowed=False)


def states(platform: Platform, app: str = "extended") -> dict[str, str]:
    return {each.name: each.state for each in platform.extensions.list(app)}


def asked(url: str, statement: str) -> object:
    with psycopg.connect(url, autocommit=True) as session:
        cursor = session.execute(statement.encode())
        return cursor.fetchone() if cursor.description else None


def settled(platform: Platform, app: str = "extended") -> bool:
    record = platform._core.app(app)
    instance = platform._core.of(record)
    with instance.session() as connection:
        return list(instance.loop.plan(connection, app, record.database)) == []


def test_from_the_list_alone(platform: Platform, urls: list[str]) -> None:
    before = states(platform)
    assert (before["bloom"], before["hstore"], before["dblink"]) == ("refused", "trusted", "refused")
    with pytest.raises(HowdahError) as raised:
        platform.extensions.enable("extended", "bloom", "test")
    assert (raised.value.code, "extension allow bloom" in (raised.value.hint or "")) == ("extension_refused", True)
    assert platform.extensions.allow("home", "bloom", "test").extensions == ["bloom"]
    assert states(platform)["bloom"] == "allowed"
    made = platform.extensions.enable("extended", "bloom", "test")
    assert (made.state, made.schema) == ("installed", "public")
    # Once more is no error.
    assert platform.extensions.enable("extended", "bloom", "test").state == "installed"
    asked(urls[0], "CREATE TABLE colours (a int, b int)")
    asked(urls[0], "CREATE INDEX colours_bloom ON colours USING bloom (a, b)")
    assert settled(platform)
    with pytest.raises(HowdahError) as raised:
        platform.extensions.disable("extended", "bloom", "test")
    assert raised.value.code == "extension_refused"
    assert "colours_bloom" in (raised.value.detail or "")
    asked(urls[0], "DROP INDEX colours_bloom")
    assert platform.extensions.disable("extended", "bloom", "test").state == "allowed"
    platform.extensions.allow("home", "bloom", "test", allowed=False)
    assert states(platform)["bloom"] == "refused"
    assert code_of(lambda: platform.extensions.allow("home", "bloom", "test", allowed=False)) == "not_found"


def test_what_no_app_may_have(platform: Platform, urls: list[str]) -> None:
    for name in ("dblink", "postgres_fdw", "file_fdw", "pageinspect"):
        assert code_of(lambda name=name: platform.extensions.allow("home", name, "test")) == "extension_refused"
        assert code_of(lambda name=name: platform.extensions.enable("extended", name, "test")) == "extension_refused"
    assert code_of(lambda: platform.extensions.allow("home", "nothing_of_the_kind", "test")) == "not_found"
    assert code_of(lambda: platform.extensions.enable("extended", "nothing_of_the_kind", "test")) == "not_found"
    assert code_of(lambda: platform.extensions.allow("nowhere", "bloom", "test")) == "instance_not_found"
    assert platform.extensions.allowed("home").extensions == []


def test_trusted_ones_are_the_owners(platform: Platform, urls: list[str]) -> None:
    assert platform.extensions.enable("extended", "hstore", "test").state == "installed"
    owner = "SELECT extowner::regrole::text FROM pg_extension WHERE extname = 'hstore'"
    assert asked(urls[0], owner) == ("extended_owner",)
    # What needs another one says so.
    if "earthdistance" in states(platform):
        with pytest.raises(HowdahError) as raised:
            platform.extensions.enable("extended", "earthdistance", "test")
        assert "cube" in raised.value.message
    assert platform.extensions.disable("extended", "hstore", "test").state == "trusted"
    assert settled(platform)


def test_nothing_of_the_apps_runs(platform: Platform, urls: list[str]) -> None:
    """What the owner left in public, or called as what the extension makes, is no part of it, and isn't run."""
    asked(urls[0], "CREATE TABLE caught (who text)")
    trap = (
        "CREATE FUNCTION public.{name} RETURNS {type} LANGUAGE plpgsql AS "
        "$$BEGIN INSERT INTO public.caught VALUES (current_user); RETURN NULL; END$$"
    )
    asked(urls[0], trap.format(name="moddatetime()", type="trigger"))
    platform.extensions.allow("home", "moddatetime", "test")
    with pytest.raises(HowdahError) as raised:
        platform.extensions.enable("extended", "moddatetime", "test")
    assert raised.value.code == "statement_failed"
    assert "already exists" in (raised.value.detail or "")
    # Nothing is left of the try.
    schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'howdah%'"
    assert asked(urls[0], schemas) == (0,)
    asked(urls[0], "DROP FUNCTION public.moddatetime()")
    platform.extensions.enable("extended", "moddatetime", "test")
    assert asked(urls[0], "SELECT count(*) FROM caught") == (0,)
    assert asked(urls[0], schemas) == (0,)
    assert settled(platform)


FIXED = """CREATE FUNCTION @extschema@.fixed() RETURNS int LANGUAGE sql AS 'SELECT 7';
CREATE TABLE kept (id int);
SELECT 1;
"""


@contextmanager
def offered(platform: Platform, name: str, script: str, *, relocatable: bool) -> Iterator[None]:
    """The server has an extension of that name meanwhile."""
    with platform._core.instance("home").session() as connection:
        row = connection.execute("SELECT setting FROM pg_config WHERE name = 'SHAREDIR'").fetchone()
    assert row is not None
    folder = Path(row[0]) / "extension"
    if not folder.is_relative_to(platform._home.root):
        pytest.skip("the server's programs are the system's")
    control = f"default_version = '1.0'\nrelocatable = {str(relocatable).lower()}\n"
    (folder / f"{name}.control").write_text(control)
    (folder / f"{name}--1.0.sql").write_text(script)
    try:
        yield
    finally:
        for path in folder.glob(f"{name}*"):
            path.unlink()


CARELESS = """CREATE FUNCTION helper(anyelement) RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT helper(1);
"""


def test_a_careless_script_meets_nothing_of_the_apps(platform: Platform, urls: list[str]) -> None:
    """It calls what fits best: in schema public that would be what the owner left there, as a superuser."""
    asked(urls[0], "CREATE TABLE IF NOT EXISTS caught (who text)")
    asked(
        urls[0],
        "CREATE FUNCTION public.helper(int) RETURNS int LANGUAGE plpgsql AS "
        "$$BEGIN INSERT INTO public.caught VALUES (current_user); RETURN 2; END$$",
    )
    with offered(platform, "careless", CARELESS, relocatable=True):
        platform.extensions.allow("home", "careless", "test")
        platform.extensions.enable("extended", "careless", "test")
        assert asked(urls[0], "SELECT count(*) FROM caught") == (0,)
        assert asked(urls[0], "SELECT helper('a'::text)") == (1,)
        platform.extensions.disable("extended", "careless", "test")
        platform.extensions.allow("home", "careless", "test", allowed=False)
    asked(urls[0], "DROP FUNCTION public.helper(int)")


def test_one_that_stays_where_it_was_made(platform: Platform, urls: list[str]) -> None:
    """It gets a schema of its own, and none that an app prepared for it."""
    with offered(platform, "fixed_here", FIXED, relocatable=False):
        platform.extensions.allow("home", "fixed_here", "test")
        asked(urls[0], "CREATE SCHEMA fixed_here")
        assert code_of(lambda: platform.extensions.enable("extended", "fixed_here", "test")) == "extension_refused"
        asked(urls[0], "DROP SCHEMA fixed_here")
        assert platform.extensions.enable("extended", "fixed_here", "test").schema == "fixed_here"
        assert settled(platform)
        assert asked(urls[0], "SELECT fixed_here.fixed()") == (7,)
        assert platform.prove.prove(["extended"], "test").holes == []
        platform.extensions.disable("extended", "fixed_here", "test")
        platform.extensions.allow("home", "fixed_here", "test", allowed=False)


def test_it_comes_back_and_holds(platform: Platform, urls: list[str]) -> None:
    """Proving, dumping and dropping an app with one."""
    assert "moddatetime" in [name for name, state in states(platform).items() if state == "installed"]
    assert platform.prove.prove(["extended"], "test").holes == []
    platform.drops.drop("extended", "extended", "test")
    assert code_of(lambda: platform.extensions.enable("extended", "hstore", "test")) == "app_dropped"
    platform.drops.undrop("extended", "test")
    assert states(platform)["moddatetime"] == "installed"


def test_where_howdahs_admin_is_no_superuser(platform: Platform) -> None:
    with foreign_server(SERVER_BIN) as server:
        platform.instances.add("plain", server.conninfo, server.password, "test")
        server.prepare_template()
        created = platform.apps.create("plainly", "test", instance="plain")
        platform.apps.delivered(created)
        try:
            assert code_of(lambda: platform.extensions.allow("plain", "bloom", "test")) == "extension_refused"
            assert platform.extensions.enable("plainly", "hstore", "test").state == "installed"
            assert asked(created.logins[0].url or "", "SELECT 'a=>1'::hstore -> 'a'") == ("1",)
            assert platform.extensions.disable("plainly", "hstore", "test").state == "trusted"
        finally:
            platform.drops.drop("plainly", "plainly", "test")
            platform.drops.purge("plainly", "plainly", "test", force=True)
            platform.instances.remove("plain", "test")
