"""Prove: howdah attacks the walls between apps, and tells what held."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from howdah.api.dependencies import PlatformDependency, Text
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.permissions import Permission
from howdah.domain.proofs import Proof

router = APIRouter(prefix="/proofs", tags=["proofs"])


class WantedProof(BaseModel):
    apps: list[Text] = Field(default=[], max_length=1000, description="Whose walls; default: every app's")


class StartedProof(BaseModel):
    operation: str = Field(description="Its progress and its end are at /operations, what it found at /proofs")


@router.post("", status_code=202, responses=problems(404, 409))
def start_proof(
    wanted: WantedProof, platform: PlatformDependency, asking: Annotated[Asking, may(Permission.PROVE)]
) -> StartedProof:
    """Begin to attack: with doubles of the apps' logins, which are removed afterwards; nothing of it stays."""
    return StartedProof(operation=platform.prove.start(wanted.apps, asking.actor))


@router.get("/{operation}", response_model=Proof, responses=problems(404), dependencies=[may(Permission.PROOF_SHOW)])
def show_proof(operation: Text, platform: PlatformDependency) -> Any:
    """What a proof found, once its operation is done."""
    return platform.prove.proof(operation)
