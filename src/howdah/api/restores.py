"""One app brought back as it was, and names for moments."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, Field

from howdah.api.dependencies import AppName, NewAppName, PlatformDependency, Text, as_pattern
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.names import RULE
from howdah.domain.permissions import Permission
from howdah.domain.replacements import ReplacementView
from howdah.domain.restores import MARK_RULE, MarkView, Moment, RestorePlan

router = APIRouter(tags=["restores"])


Mark = Annotated[Text, as_pattern("^[a-z0-9][a-z0-9._-]*$", 40)]
# As most are; others are quoted, as in SQL.
Table = Annotated[Text, as_pattern(r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$", 130)]


class WantedRestore(BaseModel):
    """Of the moments, one at most."""

    app: NewAppName = Field(description="The app, by its name of now or of then")
    time: AwareDatetime | None = Field(None, description="To this moment, with a time zone")
    lsn: Annotated[Text, as_pattern("^[0-9A-F]{1,8}/[0-9A-F]{1,8}$", 17)] | None = Field(
        None, description="To this WAL position"
    )
    mark: Mark | None = Field(None, description="To this mark of the app")
    before_drop: Table | None = Field(
        None, description="To just before this table was last dropped: table or schema.table"
    )
    restored_as: NewAppName | None = Field(None, description=f"{RULE} Default: the app's with _restored")
    replace: bool = Field(False, description="In place: the present database is kept for seven days")
    confirm: Text | None = Field(None, max_length=80, description="With replace: the app's name once more")
    instance: Text | None = Field(None, max_length=80, description="Where to; by default where the app is")
    tables: list[Table] = Field(default_factory=list, max_length=200, description="Rows of these tables only")

    @property
    def moment(self) -> Moment:
        """The moment that is meant."""
        return Moment(self.time, self.lsn, self.mark, self.before_drop)


class StartedRestore(BaseModel):
    app: str = Field(description="What the restored app is called; its URLs come from `create`")
    operation: str = Field(description="Its progress and its end are at /operations")


class NewMark(BaseModel):
    mark: Mark = Field(description=MARK_RULE, examples=["before-migration"])


@router.post("/restores/plan", responses=problems(404, 409), dependencies=[may(Permission.APP_RESTORE)])
def plan_restore(wanted: WantedRestore, platform: PlatformDependency) -> RestorePlan:
    """What a restore would start from and make; nothing is done."""
    return platform.restores.plan(
        wanted.app,
        wanted.moment,
        restored_as=wanted.restored_as,
        tables=wanted.tables,
        in_place=wanted.replace,
        on=wanted.instance,
    )


@router.post("/restores", status_code=202, responses=problems(404, 409))
def restore_app(
    wanted: WantedRestore, platform: PlatformDependency, asking: Annotated[Asking, may(Permission.APP_RESTORE)]
) -> StartedRestore:
    """Begin to bring an app back, as another one beside it or in its place. Without a moment: as it is now."""
    app, operation = platform.restores.start(
        wanted.app,
        wanted.moment,
        asking.actor,
        restored_as=wanted.restored_as,
        tables=wanted.tables,
        confirm=(wanted.confirm or "") if wanted.replace else None,
        on=wanted.instance,
    )
    return StartedRestore(app=app, operation=operation)


@router.get("/apps/{app}/replacements", responses=problems(404), dependencies=[may(Permission.MARK_LIST)])
def list_replacements(app: AppName, platform: PlatformDependency) -> list[ReplacementView]:
    """Databases of the app that a restored one took the place of, and that are kept; the newest first."""
    return platform.replacing.list(app)


@router.post("/apps/{app}/replacements/undo", responses=problems(404, 409))
def undo_replacement(
    app: AppName, platform: PlatformDependency, asking: Annotated[Asking, may(Permission.APP_RESTORE)]
) -> ReplacementView:
    """Have the app's database and the one that it last took the place of change places again."""
    return platform.replacing.undo(app, asking.actor)


@router.get("/apps/{app}/marks", responses=problems(404), dependencies=[may(Permission.MARK_LIST)])
def list_marks(app: AppName, platform: PlatformDependency) -> list[MarkView]:
    """An app's marks, oldest first."""
    return list(platform.marks.list(app))


@router.post("/apps/{app}/marks", status_code=201, responses=problems(404, 409))
def add_mark(
    app: AppName,
    new: NewMark,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.MARK_ADD)],
) -> MarkView:
    """Give this moment a name, so that the app can be brought back to it."""
    return platform.marks.add(app, new.mark, asking.actor)
