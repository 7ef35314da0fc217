"""The same result by Ansible's community.postgresql, in a virtual environment of its own."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.place import Place
from benchmarks.rounds import Contender

_FOLDER = Path(__file__).parents[1] / ".cache" / "bench-ansible"
_PLAYBOOK = Path(__file__).with_name("playbook.yml")


def prepare(place: Place) -> Contender:
    """Install it, and return what makes one app. Raises RuntimeError where it can't be installed."""
    program = _FOLDER / "bin" / "ansible-playbook"
    try:
        if not program.exists():
            subprocess.run([sys.executable, "-m", "venv", str(_FOLDER)], check=True, capture_output=True)
            pip = [str(_FOLDER / "bin" / "pip"), "install", "--quiet", "ansible", "psycopg[binary]"]
            subprocess.run(pip, check=True, capture_output=True, env=_environment())
    except subprocess.CalledProcessError as error:
        raise RuntimeError("the package `ansible` could not be installed") from error
    numbers = itertools.count(1)

    def create() -> None:
        variables = {
            "app": f"ansible{next(numbers)}",
            "socket": str(place.home / "run" / "pg"),
            "server_port": place.port,
            "ansible_python_interpreter": str(_FOLDER / "bin" / "python"),
        }
        done = subprocess.run(
            [str(program), "-i", "localhost,", "-c", "local", str(_PLAYBOOK), "-e", json.dumps(variables)],
            env={**_environment(), "ANSIBLE_LOCALHOST_WARNING": "False", "ANSIBLE_NOCOLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)

    return create


def _environment() -> dict[str, str]:
    """Ours, but let Python keep its bytecode: without, Ansible would compile itself at every start."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
