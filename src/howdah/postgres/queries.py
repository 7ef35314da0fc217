"""Named queries: SQL reads live in `.sql` files, each block headed by `-- name: …`."""

import re
from importlib.resources import files
from typing import Any, LiteralString, cast

_HEADER = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


def load(package: str, filename: str) -> dict[str, LiteralString]:
    """The queries of one file by name, read once by the module that uses them."""
    parts = _HEADER.split(files(package).joinpath(filename).read_text(encoding="utf-8"))
    return {name: _trusted(name, body) for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def _trusted(name: str, body: str) -> LiteralString:
    # The text is part of the package, as literal as if it stood in the code.
    text: Any = f"-- {name}\n{body.strip()}"
    return cast(LiteralString, text)
