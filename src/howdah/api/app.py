"""The door: a FastAPI application over one platform."""

from fastapi import FastAPI

from howdah import __version__
from howdah.api import apps, health, instance, logins, operations, plans, sessions, tables
from howdah.api.problems import add_problem_handlers
from howdah.services.platform import Platform


def create_app(platform: Platform) -> FastAPI:
    """Every route of the door; `platform` must be open."""
    app = FastAPI(
        title="howdah",
        version=__version__,
        description="Managed PostgreSQL that a team runs itself.",
        # The interactive pages load scripts from elsewhere; the schema itself is at /openapi.json.
        docs_url=None,
        redoc_url=None,
    )
    app.state.platform = platform
    add_problem_handlers(app)
    app.include_router(health.router)
    for noun in (instance, apps, plans, tables, logins, sessions, operations):
        app.include_router(noun.router, prefix="/api/v1")
    return app
