"""The developer's documentation: every block is run, in order, and prints what the page says."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import Howdah, open_folder, running_howdah

PAGE = Path(__file__).parents[2] / "docs" / "developer.md"
RUN = ("js", "python", "sql", "sh")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"<!-- not run: .+ -->\n\Z")
_FILE_NAME = re.compile(r"(?://|#) ([\w.]+)\n")


@dataclass(frozen=True)
class Block:
    """A block of the page that is run; `output` is what the `text` block right after it claims, None without one."""

    line: int
    language: str
    code: str
    output: str | None

    @property
    def title(self) -> str:
        first = next(line for line in self.code.splitlines() if line.strip())
        return f"line {self.line}: {first[:50]}"


def blocks(page: str) -> list[Block]:
    """The blocks to run, in order. One without a language that is known must say why it isn't run."""
    found: list[Block] = []
    fences = list(_FENCE.finditer(page))
    for number, fence in enumerate(fences):
        language, code = fence.groups()
        line = page.count("\n", 0, fence.start()) + 1
        if language == "text" or _NOT_RUN.search(page, 0, fence.start()):
            continue
        assert language in RUN, f"line {line}: a block in {language or 'no language'}"
        follower = fences[number + 1] if number + 1 < len(fences) else None
        claimed = None
        if follower and follower[1] == "text" and not page[fence.end() : follower.start()].strip():
            claimed = follower[2]
        found.append(Block(line, language, code, claimed))
    return found


BLOCKS = blocks(PAGE.read_text(encoding="utf-8"))


@dataclass
class Project:
    """A developer's folder, with a `.env` that the page's first block makes."""

    folder: Path
    howdah: Howdah

    def environment(self) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        path = f"{Path(sys.executable).parent}:{plain['PATH']}"
        return {**plain, "HOWDAH_HOME": str(self.howdah.home), "PATH": path, "NO_COLOR": "1"}

    def run(self, block: Block) -> subprocess.CompletedProcess[str]:
        """Run a block as the page says that it is run; what it prints to both streams comes in order."""
        arguments = getattr(self, f"_{block.language}")(block)
        return subprocess.run(
            ["bash", "-c", 'if [ -f .env ]; then set -a; . ./.env; set +a; fi; exec "$@"', "bash", *arguments],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )

    def _file(self, block: Block) -> Path:
        name = _FILE_NAME.match(block.code)
        assert name, f"line {block.line}: the first line of a program must be its name, as a comment"
        path = self.folder / name[1]
        path.write_text(block.code)
        return path

    def _js(self, block: Block) -> list[str]:
        # Without the URLs in the environment: it is --env-file that brings them.
        clean = ["env", "-u", "DATABASE_URL", "-u", "DATABASE_URL_READONLY", "-u", "TEST_DATABASE_URL"]
        return [*clean, "node", "--env-file=.env", self._file(block).name]

    def _python(self, block: Block) -> list[str]:
        return [sys.executable, "-W", "error", self._file(block).name]

    def _sql(self, block: Block) -> list[str]:
        script = self.folder / "block.sql"
        script.write_text(block.code)
        return ["bash", "-c", 'psql "$DATABASE_URL" -X -v ON_ERROR_STOP=1 < block.sql']

    def _sh(self, block: Block) -> list[str]:
        return ["bash", "-c", block.code]


@pytest.fixture(scope="module")
def ran(node_modules: Path) -> Iterator[dict[int, Any]]:
    """What came of every block, by its line. A howdah of its own: the page's app is called `myapp`."""
    with running_howdah() as howdah, open_folder("howdah-docs-") as folder:
        (folder / "node_modules").symlink_to(node_modules)
        project = Project(folder, howdah)
        yield {block.line: (project.run(block), howdah.port) for block in BLOCKS}


def pattern(claimed: str, port: int) -> str:
    """The claimed output as a regular expression: `…` stands for anything, 5432 for the port that is used."""
    text = re.escape(claimed.replace("5432", str(port)).rstrip())
    return text.replace("…", "(?s:.*)") + r"\s*"


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.title)
def test_block(ran: dict[int, Any], block: Block) -> None:
    done, port = ran[block.line]
    fails = block.output is not None and bool(re.search(r"\berror: |ERROR: ", block.output))
    assert (done.returncode != 0) == fails, done.stdout
    if block.output is None:
        assert "warning" not in done.stdout.lower()
    else:
        assert re.fullmatch(pattern(block.output, port), done.stdout), done.stdout


def test_what_the_page_says_of_limits_is_so(howdah: Howdah) -> None:
    howdah.create("limits")
    limits = {row["login"]: row["connection_limit"] for row in howdah.json("logins", "limits")}
    assert limits["limits_user"] == 30
    assert limits["limits_readonly"] == 10
    assert howdah.json("info", "limits")["connection_limit"] == 100


def test_the_page_is_read_as_meant() -> None:
    assert {block.language for block in BLOCKS} == set(RUN)
    assert len(BLOCKS) > 25
    assert sum(block.output is not None for block in BLOCKS) > 20
