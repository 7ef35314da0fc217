"""An app in one file, and a new app out of one."""

import os
import shutil
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from howdah.api.dependencies import AppName, NewAppName, PlatformDependency, Text
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.api.streaming import FileResponse
from howdah.domain.errors import HowdahError
from howdah.domain.names import RULE
from howdah.domain.permissions import Permission
from howdah.instances.files import disk_errors
from howdah.services.platform import Platform

router = APIRouter(tags=["apps"])

ZIP = "application/zip"
# What the file becomes needs as much again, and the server some more.
_SPARE = 64 * 1024 * 1024
_FILE = {"schema": {"type": "string", "format": "binary"}}


class StartedLoad(BaseModel):
    operation: str = Field(description="Its state and its end are at /operations; the app's URLs come from `create`")


@router.post(
    "/apps/{app}/dump",
    response_class=StreamingResponse,
    responses={200: {"description": "A ZIP archive", "content": {ZIP: _FILE}}, **problems(404, 409)},
)
def dump_app(
    app: AppName, platform: PlatformDependency, asking: Annotated[Asking, may(Permission.APP_DUMP)]
) -> StreamingResponse:
    """The app in one file: data, settings, and what is wanted of its logins. It holds no password.

    An answer that ends too early is no dump: the connection breaks then, and the operation says why.
    """
    return FileResponse(platform.dumps.dump(app, asking.actor), ZIP)


@router.post(
    "/loads",
    status_code=202,
    responses=problems(404, 409),
    openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": _FILE}}},
)
async def load_app(
    request: Request,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.APP_LOAD)],
    app: Annotated[NewAppName, Query(description=RULE)],
    instance: Annotated[Text | None, Query(max_length=80, description="Where; default: howdah's own server")] = None,
    extension: Annotated[
        list[Text] | None, Query(description="Extensions that howdah may make, as an app's login can't")
    ] = None,
    server_locale: Annotated[bool, Query(description="Sort text as that server does, and not as it was")] = False,
) -> StartedLoad:
    """Make an app from a dump's file, which is the request's body."""
    file = await _received(request, platform)
    operation = await run_in_threadpool(
        platform.loads.start,
        file,
        app,
        asking.actor,
        instance=instance,
        extensions=extension or (),
        server_locale=server_locale,
    )
    return StartedLoad(operation=operation)


async def _received(request: Request, platform: Platform) -> Path:
    """The body in a file of howdah's own. Raises HowdahError `disk_full`, `home`, `invalid_input`."""
    folder = platform.loads.folder()
    file = folder / f"{os.urandom(8).hex()}.zip"
    try:
        with disk_errors(folder):
            room = (shutil.disk_usage(folder).free - _SPARE) // 2
            # Of a body in pieces nobody said how large it is.
            size = int(request.headers.get("content-length") or 0)
            _check_room(size, room)
            received = 0
            with file.open("xb") as body:
                file.chmod(0o600)
                async for chunk in request.stream():
                    received += len(chunk)
                    _check_room(received, room)
                    await run_in_threadpool(body.write, chunk)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return file


def _check_room(size: int, room: int) -> None:
    if size > room:
        raise HowdahError(
            "disk_full",
            "there is no room for that file",
            detail=f"It has {size} bytes or more, and what is made of it needs as much again.",
            hint="Free some space on howdah's machine.",
        )
