"""`howdah guide` from another machine: with a token that may only read, or of the app itself."""

from difflib import ndiff

import pytest

from tests.e2e.conftest import Remote


@pytest.mark.parametrize("token", ["admin", "read", "mine"])
@pytest.mark.parametrize("output", ["md", "html"])
def test_with_any_token_that_may_see_the_app(remote: Remote, token: str, output: str) -> None:
    """It is the page of the machine itself, but for how howdah's commands reach it."""
    there = remote.run(remote.tokens[token], "guide", "mine", "-o", output, check=True).stdout
    here = remote.howdah.run("guide", "mine", "-o", output).stdout
    other = [line[2:] for line in ndiff(here.splitlines(), there.splitlines()) if line.startswith("+ ")]
    assert len(other) == 2
    assert f"HOWDAH_URL={remote.url}" in other[0]
    assert remote.tokens[token] not in there


def test_of_another_app(remote: Remote) -> None:
    """As if it weren't there."""
    there = remote.run(remote.tokens["mine"], "guide", "theirs")
    nobody = remote.run(remote.tokens["mine"], "guide", "nobody")
    assert (there.returncode, there.stdout) == (3, "")
    assert there.stderr == nobody.stderr.replace("nobody", "theirs")


def test_without_a_token(remote: Remote) -> None:
    done = remote.run("", "guide", "mine")
    assert (done.returncode, done.stdout) == (5, "")
    assert "HOWDAH_TOKEN" in done.stderr
