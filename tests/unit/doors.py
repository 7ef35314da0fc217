"""A door for the commands to knock at: it answers as each test says, and remembers what it was asked."""

from dataclasses import dataclass, field
from typing import Any

from howdah.cli import main
from howdah.domain.home import Home

OWNER = "postgresql://myapp_user:s3cret@127.0.0.1:5432/myapp_db"
READ = "postgresql://myapp_readonly:0ther@127.0.0.1:5432/myapp_db"
CREATED: dict[str, Any] = {
    "operation": "op1",
    "app": "myapp",
    "database": "myapp_db",
    "logins": [
        {"name": "myapp_user", "access": "owner", "url": OWNER, "purpose": "main"},
        {"name": "myapp_readonly", "access": "readonly", "url": READ, "purpose": "main"},
    ],
    "instance": "home",
    "databases": ["myapp_db"],
    "resumed": False,
    "notices": [],
}
NO_URLS = {**CREATED, "logins": [{**login, "url": None} for login in CREATED["logins"]]}
DIE = (0, None)  # close the connection instead of answering


@dataclass
class Request:
    method: str
    path: str
    key: str | None
    body: Any


@dataclass
class Door:
    """What the server answers, in turn, and what it was asked."""

    home: Home
    answers: list[tuple[int, Any]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def run(self, *args: str) -> int:
        return main.run(["--home", str(self.home.root), *args])
