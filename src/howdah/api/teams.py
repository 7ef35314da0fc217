"""Teams, and the people in them."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from howdah.api.dependencies import AppName, PlatformDependency, Text, as_pattern
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.permissions import Permission, Role
from howdah.domain.teams import (
    PERSON_PATTERN,
    PERSON_RULE,
    TEAM_RULE,
    Allowance,
    RemovedMember,
    TeamView,
    Whoami,
)
from howdah.domain.tokens import NAME_PATTERN

router = APIRouter(tags=["teams"])

TeamName = Annotated[Text, Path(description="A team's name", max_length=80)]
_Count = Annotated[int, Field(ge=0, le=10_000, description="How many apps its owners may have made")]
_Connections = Annotated[
    int, Field(ge=1, le=10_000, description="Up to where its owners set limits; null: not at all")
]
_Storage = Annotated[int, Field(ge=1, le=1 << 50, description="The same of an app's room, in bytes")]


class NewTeam(BaseModel):
    name: Annotated[Text, as_pattern(NAME_PATTERN, 40)] = Field(description=TEAM_RULE, examples=["shop"])
    may_create: _Count = 0
    max_connections: _Connections | None = None
    max_storage: _Storage | None = None


class ChangedTeam(BaseModel):
    """What isn't named stays as it is."""

    may_create: _Count = 0
    max_connections: _Connections | None = None
    max_storage: _Storage | None = None


class NewMember(BaseModel):
    person: Annotated[Text, as_pattern(PERSON_PATTERN, 200)] = Field(description=PERSON_RULE, examples=["ana"])
    role: Role


class Gift(BaseModel):
    team: Text | None = Field(description="Null: nobody's, an admin looks after it")


@router.get("/whoami", responses=problems())
def whoami(platform: PlatformDependency, asking: Annotated[Asking, may(Permission.WHOAMI)]) -> Whoami:
    """Who asks, and what they may know of."""
    return platform.teams.whoami(asking.caller)


@router.post("/teams", status_code=201, responses=problems(409))
def create_team(
    new: NewTeam, platform: PlatformDependency, asking: Annotated[Asking, may(Permission.TEAM_CREATE)]
) -> TeamView:
    """Make a team without members or apps."""
    allowance = Allowance(new.may_create, new.max_connections, new.max_storage)
    return platform.teams.create(new.name, allowance, asking.actor)


@router.get("/teams", responses=problems())
def list_teams(platform: PlatformDependency, asking: Annotated[Asking, may(Permission.TEAM_LIST)]) -> list[TeamView]:
    """Every team with its apps and members; of a member's token, their own."""
    return platform.teams.list(asking.caller)


@router.post("/teams/{team}", responses=problems(404))
def change_team(
    team: TeamName,
    wanted: ChangedTeam,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.TEAM_CHANGE)],
) -> TeamView:
    """Change what a team's owners may do of their own."""
    return platform.teams.change(team, wanted.model_dump(exclude_unset=True), asking.actor)


@router.delete("/teams/{team}", status_code=204, responses=problems(404, 409))
def remove_team(
    team: TeamName, platform: PlatformDependency, asking: Annotated[Asking, may(Permission.TEAM_REMOVE)]
) -> None:
    """Forget a team that owns no app."""
    platform.teams.remove(team, asking.actor)


@router.post("/apps/{app}/team", status_code=204, responses=problems(404))
def give_app(
    app: AppName, gift: Gift, platform: PlatformDependency, asking: Annotated[Asking, may(Permission.TEAM_GIVE)]
) -> None:
    """Say whose an app is."""
    platform.teams.give(app, gift.team, asking.actor)


@router.post("/teams/{team}/members", responses=problems(404))
def add_member(
    team: TeamName,
    new: NewMember,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.MEMBER_ADD)],
) -> TeamView:
    """Take somebody into a team, or give them another role in it."""
    return platform.teams.add_member(team, new.person, new.role, asking.caller)


@router.post("/teams/{team}/members/{person}/remove", responses=problems(404))
def remove_member(
    team: TeamName,
    person: Annotated[Text, Path(max_length=200)],
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.MEMBER_REMOVE)],
) -> RemovedMember:
    """Take somebody out of a team; who is in no other loses their tokens."""
    return platform.teams.remove_member(team, person, asking.caller)
