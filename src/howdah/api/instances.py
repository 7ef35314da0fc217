"""Instances: the servers that apps are on."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field, SecretStr, WithJsonSchema

from howdah.api.dependencies import IdempotencyKey, PlatformDependency, Text, as_pattern
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.permissions import Permission
from howdah.domain.views import InstanceInfo, InstanceSummary, PlannedInstance
from howdah.services.adopting import NAME_RULE
from howdah.services.core import instance_not_found

router = APIRouter(prefix="/instances", tags=["instances"])

InstanceName = Annotated[Text, Path(description="An instance's name; howdah's own is `home`", max_length=80)]
HostName = Annotated[Text, as_pattern("^[A-Za-z0-9_.:-]+$", 253)]
RoleName = Annotated[Text, as_pattern("^(?!pg_)[a-z_][a-z0-9_]*$", 63)]
# One line, as in a password file.
Password = Annotated[SecretStr, WithJsonSchema({"type": "string", "pattern": r"^[^\u0000\r\n]*$", "writeOnly": True})]
NewInstanceName = Annotated[Text, as_pattern("^(?!home$)[a-z][a-z0-9_-]*$", 40)]


class NewInstance(BaseModel):
    name: NewInstanceName = Field(description=NAME_RULE, examples=["reports"])
    conninfo: Text = Field(
        max_length=2000,
        description="The admin's connection string, without a password",
        examples=["postgresql://admin@localhost:5433/postgres"],
    )
    password: Password | None = Field(None, description="The admin's password; kept in a file of howdah's own")
    control_role: RoleName | None = Field(
        None, description="Owns what howdah makes there; the one on record by default, else `howdah`"
    )


class AddInstance(NewInstance):
    public_host: HostName | None = Field(None, description="The host that URLs name, if it is another")
    public_port: int | None = Field(None, ge=1, le=65535)
    replace: bool = Field(False, description="Give an instance on record a new address or password")


@router.post("", status_code=201, responses=problems(409))
def add_instance(
    new: AddInstance,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.INSTANCE_ADD)],
    key: IdempotencyKey = None,
) -> InstanceInfo:
    """Adopt a server that howdah doesn't run, by a login that may create roles and databases."""
    return platform.instances.add(
        new.name,
        new.conninfo,
        new.password.get_secret_value() if new.password else None,
        asking.actor,
        public_host=new.public_host,
        public_port=new.public_port,
        control_role=new.control_role,
        replace=new.replace,
        key=key,
    )


@router.post("/plan", responses=problems(409), dependencies=[may(Permission.INSTANCE_ADD)])
def plan_instance(new: NewInstance, platform: PlatformDependency) -> PlannedInstance:
    """What adopting it would run on the server; nothing is changed or recorded."""
    password = new.password.get_secret_value() if new.password else None
    return platform.instances.plan_add(new.name, new.conninfo, password, new.control_role)


@router.get("", responses=problems(), dependencies=[may(Permission.INSTANCE_LIST)])
def list_instances(platform: PlatformDependency) -> list[InstanceSummary]:
    """Every instance, howdah's own first; one that doesn't answer says so."""
    return platform.instances.list()


@router.get("/{instance}", responses=problems(404))
def show_instance(
    instance: InstanceName,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.INSTANCE_SHOW)],
) -> InstanceInfo:
    """One instance, as its server says now. Who may know of some apps learns how to reach theirs, and no more."""
    if asking.only is None:
        return platform.instances.show(instance)
    if instance not in {platform.apps.instance_of(app) for app in asking.only}:
        asking.found(None, instance, instance_not_found(instance))
    return platform.instances.show(instance).for_an_app()


@router.delete("/{instance}", status_code=204, responses=problems(404, 409))
def remove_instance(
    instance: InstanceName,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.INSTANCE_REMOVE)],
) -> None:
    """Forget an adopted instance without apps; nothing changes on its server."""
    platform.instances.remove(instance, asking.actor)
