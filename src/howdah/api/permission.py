"""What a route asks of whoever calls it: every route names its permission, or the control plane doesn't start."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute

from howdah.domain.errors import HowdahError
from howdah.domain.permissions import NOBODY, Caller, Permission, ScopeKind, names_its_app
from howdah.services.platform import Platform

CALLER = "howdah.caller"


@dataclass(frozen=True)
class Asking:
    """A request that has its route's permission, as far as that can be told from its path."""

    caller: Caller
    permission: Permission
    request: str
    platform: Platform

    @property
    def actor(self) -> str:
        """What audit events and operations call whoever asks."""
        return self.caller.actor

    @property
    def only(self) -> frozenset[str] | None:
        """The apps that the answer may be about; None: all of them."""
        return self.caller.scope.apps

    def check(self, app: str | None) -> None:
        """Ask for the route's permission on an app that the query or the body names.

        Raises HowdahError `app_not_found` where it is none of the caller's.
        """
        if app is not None:
            self.platform.tokens.authorize(self.caller, self.permission, app, self.request)

    def about(self, app: str | None) -> list[str | None]:
        """The apps to answer about, one by one: the one asked for, else each of the caller's own; None for all.

        Raises HowdahError `app_not_found` where it is none of the caller's.
        """
        self.check(app)
        if app is not None:
            return [app]
        return [None] if self.only is None else [*sorted(self.only)]

    def must(self, permission: Permission, app: str | None = None) -> None:
        """Ask for another permission besides the route's. Raises HowdahError `scope_too_small`, `app_not_found`."""
        self.platform.tokens.authorize(self.caller, permission, app, self.request)

    def found(self, app: str | None, object: str, missing: HowdahError) -> None:
        """Raise `missing` unless a thing that was found is an app's that the caller may know of.

        And HowdahError `scope_too_small` where they may not do this to it.
        """
        if self.only is not None and app not in self.only:
            raise self.platform.tokens.refuse_hidden(self.caller, self.permission, object, missing)
        self.check(app)


class May:
    """The dependency that lets in who has a permission."""

    def __init__(self, permission: Permission):
        self.permission = permission

    def __call__(self, request: Request) -> Asking:
        """Raises HowdahError `scope_too_small` or `app_not_found`."""
        # Nobody, unless an entrance said who it is.
        caller: Caller = request.scope.get(CALLER, Caller("nobody", NOBODY))
        platform: Platform = request.app.state.platform
        asked = asked_for(request.scope)
        app = request.path_params.get("app")
        if caller.scope.kind is not ScopeKind.ADMIN:
            platform.tokens.authorize(caller, self.permission, app, asked)
        return Asking(caller, self.permission, asked, platform)


def may(permission: Permission) -> Any:
    """What a route depends on, to be had only with `permission`."""
    return Depends(May(permission))


def asked_for(scope: Any) -> str:
    """A request in a few words; its query is left out, as one may hold anything."""
    return f"{scope['method']} {scope['path']}"


def check_permissions(routers: Iterable[APIRouter]) -> None:
    """Raise RuntimeError unless every route names one permission, and its app where the permission wants that."""
    for router in routers:
        for route in router.routes:
            named = permissions_of(route)
            path = getattr(route, "path", "?")
            if len(named) != 1:
                raise RuntimeError(f"{path} names {len(named)} permissions instead of one")
            if names_its_app(named[0]) and "{app}" not in path:
                raise RuntimeError(f"{path} needs an {{app}} for {named[0]}")


def permissions_of(route: object) -> list[Permission]:
    """The permissions that a route names."""
    if not isinstance(route, APIRoute):
        return []
    return [d.call.permission for d in route.dependant.dependencies if isinstance(d.call, May)]
