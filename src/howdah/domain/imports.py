"""Imports: what is found in a database elsewhere, and what of it an app would get."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ImportPlan:
    """What an import would bring in. `problems` are in its way, `notices` say what an app gets otherwise or not.

    `size` in bytes; `extensions` of the source.
    """

    app: str
    source: str
    version: str
    login: str
    size: int
    tables: int
    sequences: int
    large_objects: int
    extensions: Sequence[str]
    problems: Sequence[str]
    notices: Sequence[str]
