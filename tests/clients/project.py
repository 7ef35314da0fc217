"""A developer's folder: what `howdah connect` printed lies in it, and programs run there with the app's URLs."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import App, Howdah

HERE = Path(__file__).parent
# A program's own choice of interpreter; a warning of Python is a failure.
RUNNERS = {".mjs": ["node"], ".py": [sys.executable, "-W", "error"]}


@dataclass
class Project:
    """A folder of its own for an app; its programs get both URLs in the environment, as from a `.env` file."""

    folder: Path
    howdah: Howdah
    app: App

    def connect(self, client: str, *options: str) -> None:
        """Save the files that `howdah connect` prints for a client, as they are printed."""
        for file in self.howdah.json("connect", self.app.name, "--for", client, *options)["files"]:
            self.write(file["name"], file["text"])

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def environment(self, **more: str) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        urls = {"DATABASE_URL": self.app.url, "DATABASE_URL_READONLY": self.app.readonly_url}
        return {**plain, **urls, "NO_COLOR": "1", **more}

    def run(
        self, *command: str, check: bool = True, given: str = "", **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in the folder, `given` on its standard input; `more` goes into its environment."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(**more),
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if check:
            assert done.returncode == 0, f"{' '.join(command)} exited {done.returncode}:\n{done.stdout}{done.stderr}"
        return done

    def script(self, name: str, given: Any = None, **more: str) -> Any:
        """Run a script of tests/clients with the saved files beside it, and give back its answer, which is JSON.

        A word on standard error is a failure. `given` goes to its standard input as JSON.
        """
        source = HERE / ("node" if name.endswith(".mjs") else "python") / name
        shutil.copy(source, self.folder)
        shutil.copy(source.with_name(f"given{source.suffix}"), self.folder)
        done = self.run(*RUNNERS[source.suffix], name, given=json.dumps(given), **more)
        assert done.stderr == ""
        return json.loads(done.stdout)

    def node_program(self, program: str, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a command line of a package, as `npx` would."""
        return self.run("node", f"node_modules/.bin/{program}", *arguments, **more)

    def python_module(self, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return self.run(*RUNNERS[".py"], "-m", *arguments, **more)

    def psql(self, query: str, *, readonly: bool = False) -> str:
        """What psql answers over the app's URL."""
        url = self.app.readonly_url if readonly else self.app.url
        return self.run("psql", url, "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", query).stdout.strip()

    def by_hand(self, statement: str) -> str:
        """Run a statement through `howdah psql`: by another login of the owner than the app's."""
        arguments = ("psql", self.app.name, "--", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", statement)
        return self.howdah.run(*arguments).stdout.strip()

    def owners(self) -> dict[str, str]:
        """Each table with its owner."""
        rows = self.howdah.json("tables", self.app.name)
        return {f"{row['schema']}.{row['table']}": row["owner"] for row in rows}
