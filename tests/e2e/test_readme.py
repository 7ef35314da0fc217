"""The README's transcript is run, and must say what happens."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support import HOWDAH, Howdah

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"^```console\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def steps(block: str) -> list[tuple[str, str]]:
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)
    assert parts[0] == ""
    return list(zip(parts[1::2], parts[2::2], strict=True))


def normal(text: str) -> str:
    """What differs from run to run, made alike; columns are one space apart."""
    text = re.sub(r":[A-Za-z0-9_-]{32}@", ":…@", text)
    text = re.sub(r"@127\.0\.0\.1:\d+/", "@127.0.0.1:5432/", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "<time>", text)
    text = re.sub(r"\d+(\.\d+)? MB", "<size>", text)
    return re.sub(r" +", " ", text).strip()


def test_the_transcript(howdah: Howdah) -> None:
    [block] = BLOCKS
    others = {app["app"] for app in howdah.json("list")}
    environment = howdah.environment()
    environment["PATH"] = f"{Path(HOWDAH).parent}:{environment['PATH']}"
    assert len(steps(block)) >= 6
    for command, expected in steps(block):
        done = subprocess.run(
            f"{command} 2>&1", shell=True, env=environment, capture_output=True, text=True, timeout=60
        )
        # The run that shares this howdah made apps of its own.
        lines = [line for line in done.stdout.splitlines() if line.split(" ")[0] not in others]
        assert normal("\n".join(lines)) == normal(expected), command


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_links_lead_somewhere(link: str) -> None:
    assert (Path(__file__).parents[2] / link).exists()
