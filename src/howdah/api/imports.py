"""An app made of a database elsewhere."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from howdah.api.dependencies import NewAppName, PlatformDependency, Text
from howdah.api.instances import Password
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.imports import ImportPlan
from howdah.domain.names import RULE
from howdah.domain.permissions import Permission

router = APIRouter(prefix="/imports", tags=["apps"])


class WantedImport(BaseModel):
    app: NewAppName = Field(description=RULE, examples=["myapp"])
    source: Text = Field(
        max_length=2000,
        description="The database's connection string, without a password",
        examples=["postgresql://me@old.example.com:5432/shop"],
    )
    password: Password | None = Field(None, description="Its login's password; forgotten afterwards")
    schemas: list[Text] = Field(default_factory=list, max_length=200, description="These alone; default: all")
    extensions: list[Text] = Field(
        default_factory=list, max_length=200, description="Extensions that howdah may make, as an app's login can't"
    )
    instance: Text | None = Field(None, max_length=80, description="Where; default: howdah's own server")
    server_locale: bool = Field(False, description="Sort text as that server does, and not as it was")

    @property
    def options(self) -> dict[str, Any]:
        """The part that says how."""
        return {
            "schemas": self.schemas,
            "extensions": self.extensions,
            "instance": self.instance,
            "server_locale": self.server_locale,
        }


class StartedImport(BaseModel):
    operation: str = Field(description="Its progress and its end are at /operations; the URLs come from `create`")


@router.post("/plan", responses=problems(404, 409), dependencies=[may(Permission.APP_IMPORT)])
def plan_import(wanted: WantedImport, platform: PlatformDependency) -> ImportPlan:
    """What is there, what is in the way of it, and what an app wouldn't get; nothing is made."""
    password = wanted.password.get_secret_value() if wanted.password else None
    return platform.imports.plan(wanted.app, wanted.source, password, **wanted.options)


@router.post("", status_code=202, responses=problems(404, 409))
def import_app(
    wanted: WantedImport, platform: PlatformDependency, asking: Annotated[Asking, may(Permission.APP_IMPORT)]
) -> StartedImport:
    """Begin to make an app of a database elsewhere, which is only read."""
    password = wanted.password.get_secret_value() if wanted.password else None
    operation = platform.imports.start(wanted.app, wanted.source, password, asking.actor, **wanted.options)
    return StartedImport(operation=operation)
