"""Marks: a name for this moment, so that an app can be brought back to it."""

from howdah.domain.errors import HowdahError
from howdah.domain.restores import MarkView, check_mark
from howdah.services.core import Core
from howdah.services.coverage import Coverage
from howdah.services.operations import Operations
from howdah.store import marks as mark_store
from howdah.store.marks import MarkRecord


class Marks:
    """Makes and lists marks."""

    def __init__(self, core: Core, operations: Operations, coverage: Coverage):
        self._core = core
        self._operations = operations
        self._coverage = coverage

    def add(self, app: str, name: str, actor: str) -> MarkView:
        """Give this moment a name.

        Raises HowdahError `app_not_found`, `invalid_name`, `name_in_use`, `backup_missing`, `backup_off`.
        """
        check_mark(name)
        record = self._core.live_app(app)
        covered = self._coverage.get(record.instance)
        covered.archiving.repository()
        if any(each.mark == name for each in self.list(app)):
            raise _taken(app, name)
        with self._operations.run("app.mark", app, actor) as operation:
            lsn, at = covered.source.mark(f"{app}.{name}")
            mark = MarkRecord(name, lsn, at, actor)
            with self._core.store.connect() as stored:
                if not mark_store.add_mark(stored, app, mark):
                    raise _taken(app, name)
            operation.answer = {"mark": name, "lsn": mark.lsn}
        return _view(app, mark)

    def list(self, app: str) -> tuple[MarkView, ...]:
        """An app's marks, oldest first. Raises HowdahError `app_not_found`."""
        self._core.app(app)
        with self._core.store.connect() as stored:
            return tuple(_view(app, each) for each in mark_store.list_marks(stored, app))

    def get(self, app: str, name: str) -> MarkView:
        """Raises HowdahError `not_found`."""
        marks = self.list(app)
        for mark in marks:
            if mark.mark == name:
                return mark
        known = ", ".join(each.mark for each in marks)
        raise HowdahError(
            "not_found",
            f'app "{app}" has no mark "{name}"',
            detail=f"Its marks are {known}." if known else "It has none.",
            hint="A time is written like 2026-11-22 14:03:07, a WAL position like 16/B374D848.",
        )


def _taken(app: str, name: str) -> HowdahError:
    return HowdahError("name_in_use", f'app "{app}" has a mark "{name}" already', hint="Choose another name.")


def _view(app: str, mark: MarkRecord) -> MarkView:
    return MarkView(app, mark.name, mark.lsn, mark.made_at, mark.made_by)
