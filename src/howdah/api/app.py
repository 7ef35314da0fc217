"""The door: a FastAPI application over one platform."""

from fastapi import FastAPI, Security
from fastapi.security import HTTPBearer

from howdah import __version__
from howdah.api import (
    added_logins,
    apps,
    audit,
    backups,
    drift,
    drops,
    dumps,
    executables,
    extensions,
    handoffs,
    health,
    imports,
    instances,
    limits,
    logins,
    operations,
    plans,
    prove,
    renames,
    restores,
    rotations,
    schedule,
    schema,
    sessions,
    tables,
    teams,
    tokens,
)
from howdah.api.permission import check_permissions
from howdah.api.problems import add_problem_handlers
from howdah.services.platform import Platform

_NOUNS = (
    instances,
    limits,
    apps,
    renames,
    drops,
    dumps,
    executables,
    extensions,
    imports,
    backups,
    restores,
    plans,
    drift,
    prove,
    tables,
    logins,
    added_logins,
    rotations,
    handoffs,
    sessions,
    operations,
    schedule,
    teams,
    tokens,
    audit,
)
ROUTERS = (health.router, schema.router, handoffs.page_router, *(noun.router for noun in _NOUNS))

# For the description alone: the entrance over TCP has looked at the token long before.
_BEARER = HTTPBearer(auto_error=False, description="A token from `howdah token create`; not on the Unix socket.")


def create_app(platform: Platform) -> FastAPI:
    """Every route of the door; `platform` must be open. Who may come in is decided by an entrance around it."""
    check_permissions(ROUTERS)
    app = FastAPI(
        title="howdah",
        version=__version__,
        description="Managed PostgreSQL that a team runs itself.",
        # The interactive pages load scripts from elsewhere; the schema itself is at /openapi.json.
        docs_url=None,
        redoc_url=None,
        # `schema` has a permission, and a redirect would name whatever host the request did.
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.platform = platform
    add_problem_handlers(app)
    for router in (health.router, schema.router, handoffs.page_router):
        app.include_router(router)
    for noun in _NOUNS:
        app.include_router(noun.router, prefix="/api/v1", dependencies=[Security(_BEARER)])
    return app
