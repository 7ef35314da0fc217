"""Names of apps, from whatever a person or a program may send: accepted ones are plain, refused ones are told why."""

from hypothesis import example, given
from hypothesis import strategies as st

from howdah.domain.errors import HowdahError
from howdah.domain.names import RULE, check_app_name, names_for
from howdah.domain.specs import Purpose
from tests.odd_names import LONGEST, PLAIN, RESERVED, WORDS, odd_names


def refusal(name: str) -> HowdahError | None:
    try:
        assert check_app_name(name) == name
    except HowdahError as error:
        return error
    return None


@given(odd_names())
@example("a" * 41)
@example("app\n")
@example("K")  # the Kelvin sign, whose lower case is k
@example("ı")
@example("ｍyapp")
@example("a_")
@example("a__b")
@example("x" * 63)
@example("é" * 20)
def test_what_is_refused_is_told_the_rule(name: str) -> None:
    error = refusal(name)
    if error is None:
        assert name.isascii()
        assert name == name.lower()
        assert len(name.encode()) <= LONGEST
        return
    assert error.code == "invalid_name"
    assert RULE in (error.hint or "")
    assert error.message.isprintable()
    assert len(error.message) < 120
    # What it proposes instead would be accepted.
    if "For example: " in (error.hint or ""):
        assert refusal((error.hint or "").rsplit(": ", 1)[1]) is None


@given(st.one_of(PLAIN, st.sampled_from(WORDS)))
def test_what_is_accepted_fits_into_every_name(app: str) -> None:
    if refusal(app) is not None:
        assert len(app) > LONGEST or app in RESERVED or app.startswith(("howdah", "pg_"))
        return
    everything: list[str] = []
    for purpose in Purpose:
        names = names_for(app, purpose)
        assert names.gate == names.database
        everything += [names.database, names.owner, names.readwrite, names.readonly]
        everything += [*names.user_logins, *names.readonly_logins]
    assert len(set(everything)) == len(everything)
    for name in everything:
        assert len(name.encode()) <= 63
        assert name.isidentifier()
        assert name.isascii()


@given(st.text(max_size=30), PLAIN)
def test_case_and_blanks_are_no_matter_of_taste(odd: str, app: str) -> None:
    """Nothing is made to fit: what isn't the very name is refused."""
    for name in (app.upper(), f" {app}", f"{app} ", f"{app}\t", f'"{app}"', f"{app};", f"{app}\0", f"{odd}é{app}"):
        assert refusal(name) is not None
