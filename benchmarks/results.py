"""The page of results: tables of medians, and beside each target whether it was reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.rounds import Timing

_INTRODUCTION = """\
# Results

Written by `make bench`. The contenders of one table took turns in one run, on one server with howdah's default
settings (a commit waits for the disk). Times are milliseconds; a ratio is the first row's median divided by the row's
own, so that 2.0 × is twice as quick. Other machines give other times, and a busy one gives wide ranges: the ratios
say more.
"""


@dataclass
class Page:
    """Collects what was measured, and writes it as Markdown."""

    facts: Mapping[str, str]
    parts: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)

    def table(self, title: str, timings: Mapping[str, Timing], note: str = "") -> None:
        """A table; ratios are to its first row."""
        first = next(iter(timings.values())).median
        rows = [
            f"| {t.name} | {_ms(t.median)} | {_ms(t.shortest)} | {_ms(t.longest)} | {first / t.median:.2f} × "
            f"| {len(t.seconds)} |"
            for t in timings.values()
        ]
        head = ["|  | median | shortest | longest | ratio | rounds |", "|---|---:|---:|---:|---:|---:|"]
        self.parts.append("\n".join([f"## {title}", "", *([note, ""] if note else []), *head, *rows]))

    def say(self, title: str, text: str) -> None:
        """A part without figures."""
        self.parts.append(f"## {title}\n\n{text}")

    def at_most(self, what: str, value: float, limit: float, unit: str) -> None:
        """A target that something may not exceed."""
        self._target(what, f"at most {limit:g} {unit}", f"{value:.2f} {unit}", value <= limit)

    def at_least(self, what: str, value: float, limit: float, unit: str) -> None:
        """A target that something has to reach."""
        self._target(what, f"at least {limit:g} {unit}", f"{value:.2f} {unit}", value >= limit)

    def not_measured(self, what: str, wanted: str, why: str) -> None:
        """A target that this run says nothing about."""
        self.targets.append(f"| {what} | {wanted} | – | not measured: {why} |")

    def _target(self, what: str, wanted: str, found: str, reached: bool) -> None:
        self.targets.append(f"| {what} | {wanted} | {found} | {'reached' if reached else '**not reached**'} |")

    def markdown(self) -> str:
        """The whole page."""
        machine = "\n".join(f"| {name} | {value} |" for name, value in self.facts.items())
        targets = "\n".join(["| target | wanted | measured | |", "|---|---|---|---|", *self.targets])
        return (
            "\n\n".join(
                [_INTRODUCTION, f"|  |  |\n|---|---|\n{machine}", f"## Targets\n\n{targets}", *self.parts]
            ).replace("\n\n\n", "\n\n")
            + "\n"
        )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"
