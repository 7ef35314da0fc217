"""What a dump says of an app: written and read again, and refused where it is anything else."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from howdah.domain.dumps import (
    Dump,
    DumpedDatabase,
    DumpedExtension,
    DumpedLogin,
    DumpedPolicy,
    DumpedSetting,
    read_dump,
    role_key,
    role_of,
)
from howdah.domain.errors import HowdahError
from howdah.domain.records import new_database
from howdah.domain.specs import Access, Locale, Provider, Purpose

POLICY = DumpedPolicy("s", "t", "p", True, "SELECT", ("public", "readonly login"), "true", None, None)
UNTIL = datetime(2027, 1, 1, tzinfo=UTC)
MAIN = DumpedDatabase(
    Purpose.MAIN,
    "UTF8",
    Locale(Provider.BUILTIN, "C.UTF-8", "C.UTF-8", "C.UTF-8"),
    17,
    "a comment",
    logins=(
        DumpedLogin(Access.OWNER, False, False, 5),
        DumpedLogin(Access.OWNER, True, True, 6, UNTIL),
        DumpedLogin(Access.READONLY, False, False, 7),
    ),
    settings=(DumpedSetting("work_mem", "9MB"), DumpedSetting("my.own", "1", Access.OWNER, True)),
    extensions=(DumpedExtension("hstore", "1.8", "public"),),
    policies=(POLICY,),
)
TEST = DumpedDatabase(Purpose.TEST, "UTF8", None, -1, None, (), (), (), ())
DUMP = Dump("app", datetime(2026, 1, 1, tzinfo=UTC), "18.6", 180006, (MAIN, TEST))


def written() -> dict[str, Any]:
    """As it stands in the file."""
    told: dict[str, Any] = json.loads(json.dumps(DUMP.as_dict()))
    return told


def test_what_was_written_is_read() -> None:
    assert read_dump(written()) == DUMP


def test_the_main_database_comes_first() -> None:
    told = written()
    told["databases"].reverse()
    assert read_dump(told) == DUMP


def places(told: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value."""
    items = told.items() if isinstance(told, dict) else enumerate(told) if isinstance(told, list) else ()
    return [path, *(place for key, value in items for place in places(value, (*path, key)))]


@given(st.data())
def test_whatever_stands_there_is_taken_or_refused(data: st.DataObject) -> None:
    told = written()
    place = data.draw(st.sampled_from(places(told)))
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
        max_leaves=4,
    )
    value = data.draw(anything)
    if place:
        within = told
        for key in place[:-1]:
            within = within[key]
        within[place[-1]] = value
    else:
        told = value
    code = None
    try:
        assert isinstance(read_dump(told), Dump)
    except HowdahError as error:
        code = error.code
    assert code in (None, "dump_invalid", "dump_newer")


@pytest.mark.parametrize(
    "name", ["work mem", "role; DROP", "", "a.b.c d", "session_authorization = x", 'work_mem"', "a\nb"]
)
def test_a_setting_has_a_name(name: str) -> None:
    told = written()
    told["databases"][0]["settings"][0]["name"] = name
    with pytest.raises(HowdahError):
        read_dump(told)


def test_a_newer_form_is_said_to_be_one() -> None:
    with pytest.raises(HowdahError) as caught:
        read_dump({**written(), "format": 2})
    assert caught.value.code == "dump_newer"


def test_what_is_wanted_of_logins_fits_an_app_of_any_name() -> None:
    made = MAIN.applied_to(new_database("other"))
    assert made.connection_limit == 17
    logins = {role.name: (role.enabled, role.connection_limit, role.valid_until) for role in made.logins}
    assert logins == {
        # Without it nobody could use the app.
        "other_user": (True, 5, None),
        "other_user_2": (True, 6, UNTIL),
        "other_readonly": (False, 7, None),
        "other_readonly_2": (False, 10, None),
    }


def test_roles_are_found_again() -> None:
    old, new = new_database("old"), new_database("new")
    for role in old.roles:
        name, own = role_of(new, role_key(old, role.name))
        assert (name, own) == (role.name.replace("old", "new"), True)
    assert role_of(new, role_key(old, None)) == (None, True)
    for stranger in ("stranger", "public", "readonly login", "gate"):
        assert role_of(new, role_key(old, stranger)) == (stranger, False)
