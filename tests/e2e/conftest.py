"""A howdah whose API listens on TCP as well, with a token of each scope."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support import Howdah, free_port, running_howdah


@dataclass
class Remote:
    """A howdah as another machine sees it."""

    howdah: Howdah
    url: str
    tokens: dict[str, str] = field(default_factory=dict)

    def token(self, name: str, scope: str, *more: str) -> str:
        """A new token, made by the admin on the machine itself."""
        return self.howdah.run("token", "create", name, "--scope", scope, *more).stdout.strip()

    def environment(self, token: str, **more: str) -> dict[str, str]:
        """What a person elsewhere sets; their machine has no howdah of its own."""
        mine = {k: v for k, v in self.howdah.environment().items() if not k.startswith("HOWDAH")}
        return {**mine, "HOWDAH_HOME": "/nonexistent/howdah", "HOWDAH_URL": self.url, "HOWDAH_TOKEN": token, **more}

    def run(self, token: str, *arguments: str, check: bool = False, **options: Any) -> Any:
        return self.howdah.run(*arguments, check=check, env=self.environment(token), **options)


@contextmanager
def running_remote() -> Iterator[Remote]:
    """One that is up, with the apps `mine` and `theirs`, and gone afterwards."""
    endpoint = f"127.0.0.1:{free_port()}"
    with running_howdah("--api-bind", endpoint) as howdah:
        remote = Remote(howdah, f"http://{endpoint}")
        howdah.create("mine")
        howdah.create("theirs")
        for name, scope in (("admin", "admin"), ("read", "read"), ("mine", "app:mine")):
            remote.tokens[name] = remote.token(name, scope)
        yield remote


@pytest.fixture(scope="session")
def remote() -> Iterator[Remote]:
    """One for the whole run: whoever renames or drops an app of it makes that good."""
    with running_remote() as remote:
        yield remote
