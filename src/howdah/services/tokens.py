"""Tokens: made and revoked by an admin, and what the door asks about whoever knocks on TCP."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from howdah.domain import tokens as minting
from howdah.domain.errors import HowdahError, TooManyFailures
from howdah.domain.permissions import Caller, Permission, Scope, Verdict, decide, parse_scope
from howdah.domain.teams import check_person
from howdah.domain.views import CreatedToken, TokenView
from howdah.services.core import Core
from howdah.services.refusals import Refusals
from howdah.store import audit
from howdah.store import teams as team_store
from howdah.store import tokens as token_store
from howdah.store.apps import app_not_found
from howdah.store.tokens import TokenRecord

_HINT = "An admin makes one with `howdah token create`; HOWDAH_TOKEN or HOWDAH_TOKEN_FILE carries it."
_REMEMBERED = 1024


class Tokens:
    """What can be done with tokens, and whether a caller may do what they ask for."""

    def __init__(self, core: Core):
        self._core = core
        self._refusals = self.refusals = Refusals(core.store)
        self._accepted: OrderedDict[bytes, None] = OrderedDict()
        self._guard = threading.Lock()

    def create(
        self, name: str, scope: str, lifetime: timedelta | None, actor: str, key: str | None = None
    ) -> CreatedToken:
        """Make a token that lives `lifetime` (None: until it is revoked); it is shown this once.

        A repeat with the same idempotency key replaces a token that was never used. Raises HowdahError
        `invalid_name`, `invalid_input`, `app_not_found`, `token_exists`.
        """
        minting.check_token_name(name)
        reach = parse_scope(scope)
        if reach.app is not None:
            self._core.app(reach.app)
        if reach.person is not None:
            self._check_member(reach.person)
        token = minting.mint()
        hash = minting.digest(token)
        assert hash is not None
        with self._audited(Permission.TOKEN_CREATE, name, actor, {"scope": str(reach)}) as detail:
            with self._core.store.connect() as stored:
                made, expires_at = token_store.add_token(stored, name, hash, reach, actor, lifetime, key)
            if not made:
                raise HowdahError(
                    "token_exists",
                    f'token "{name}" already exists',
                    hint=f"Choose another name, or end it first: `howdah token revoke {name}`.",
                )
            detail["expires_at"] = expires_at.isoformat() if expires_at else None
        return CreatedToken(name, str(reach), expires_at, token)

    def list(self) -> list[TokenView]:
        """Every token that isn't revoked, oldest first."""
        with self._core.store.connect() as stored:
            return [_view(record) for record in token_store.list_tokens(stored)]

    def revoke(self, name: str, actor: str) -> None:
        """End a token now; raises HowdahError `token_not_found`."""
        with self._audited(Permission.TOKEN_REVOKE, name, actor, {}), self._core.store.connect() as stored:
            if not token_store.revoke_token(stored, name):
                raise HowdahError(
                    "token_not_found",
                    f'token "{minting.masked(name)}" does not exist',
                    hint="`howdah token list` shows the tokens there are.",
                )

    def authenticate(self, token: str | None, address: str, request: str) -> Caller:
        """Who brings this token from `address`; `request` is what they ask for, for the audit trail.

        Raises HowdahError `token_missing`, `token_invalid`, `token_expired`, `token_revoked`, and
        `too_many_failures` for a token that was never accepted, from an address that brought too many bad ones.
        """
        if token is None:
            raise self._refused(
                HowdahError("token_missing", "a token is needed here", hint=_HINT), address, address, request
            )
        hash = minting.digest(token)
        wait = self._refusals.wait(address)
        # Whoever shares the address of somebody that fails goes on working; only what was never good has to wait,
        # so that a flood of bad tokens doesn't reach the store.
        if wait and (hash is None or hash not in self._accepted):
            raise self._refused(
                TooManyFailures(
                    "too_many_failures",
                    "too many bad tokens came from this address",
                    retry_after=wait,
                    hint=f"Try again in {wait} s, with a good one.",
                ),
                address,
                address,
                request,
            )
        record = self._find(hash) if hash is not None else None
        if error := _no_good(record):
            self._refusals.failed(address)
            with self._guard:
                self._accepted.pop(hash or b"", None)
            raise self._refused(error, address, _actor(record) if record else address, request)
        assert record is not None
        assert hash is not None
        with self._guard:
            self._accepted[hash] = None
            self._accepted.move_to_end(hash)
            if len(self._accepted) > _REMEMBERED:
                self._accepted.popitem(last=False)
        return Caller(_actor(record), self._reach(record), remote=True, address=address)

    def refuse_plaintext(self, address: str, request: str) -> HowdahError:
        """The refusal of a client that comes past the reverse proxy, unencrypted."""
        error = HowdahError(
            "plaintext_refused",
            "refused: this listener is for the reverse proxy alone",
            detail="The connection isn't encrypted, and it doesn't come from the proxy.",
            hint="Use the proxy's https address. If a token was sent, consider it known and revoke it.",
        )
        return self._refused(error, address, address, request)

    def authorize(self, caller: Caller, permission: Permission, app: str | None, request: str) -> None:
        """Raise unless `caller` has `permission`, on `app` where it is about one.

        Raises HowdahError `scope_too_small`, or `app_not_found` as for an app that doesn't exist.
        """
        verdict = decide(caller.scope, permission, app)
        if verdict is Verdict.GRANTED:
            return
        if verdict is Verdict.HIDDEN:
            error = app_not_found(app or "")
        else:
            error = HowdahError(
                "scope_too_small",
                f"the token's scope doesn't allow {permission}",
                detail=f"Its scope is {caller.scope}.",
                hint="Ask an admin for a token of another scope.",
            )
        self._note(error, caller, permission, app or request)
        raise error

    def refuse_hidden(self, caller: Caller, permission: Permission, object: str, error: HowdahError) -> HowdahError:
        """Record that something of another app's was asked for, and return what to say: as if it weren't there."""
        self._note(error, caller, permission, object)
        return error

    def settle_refusals(self) -> None:
        """Put counts of refusals on the audit trail that no event tells of."""
        self._refusals.settle()

    def close(self) -> None:
        """The same for all; at the end."""
        self._refusals.close()

    def _note(self, error: HowdahError, caller: Caller, permission: Permission, object: str) -> None:
        # The trail says why it was refused, the answer doesn't.
        reason = HowdahError("scope_too_small", error.message)
        self._refusals.record(reason, address=caller.address, actor=caller.actor, action=permission, object=object)

    def _refused(self, error: HowdahError, address: str, actor: str, request: str) -> HowdahError:
        self._refusals.record(error, address=address, actor=actor, action="token.use", object=request)
        return error

    def _reach(self, record: TokenRecord) -> Scope:
        """What a token reaches now: who left a team a moment ago has nothing of it any more."""
        reach = record.reach
        if reach.person is None:
            return reach
        with self._core.store.connect() as stored:
            teams, roles = team_store.reach_of(stored, reach.person)
        return replace(reach, teams=tuple(teams.items()), roles=tuple(roles.items()))

    def _check_member(self, person: str) -> None:
        check_person(person)
        with self._core.store.connect() as stored:
            if not team_store.list_members(stored, person=person):
                raise HowdahError(
                    "member_not_found",
                    f'"{person}" is in no team',
                    hint=f"`howdah team add-member TEAM {person} --role developer` takes them into one.",
                )

    def _find(self, hash: bytes) -> TokenRecord | None:
        with self._core.store.connect() as stored:
            record = token_store.find_token(stored, hash)
            if record is not None and record.stale and not (record.expired or record.revoked):
                token_store.touch_token(stored, record.id)
        return record

    @contextmanager
    def _audited(self, action: Permission, name: str, actor: str, detail: dict[str, Any]) -> Iterator[dict[str, Any]]:
        # Before as well: a token that was made and isn't on the trail would be worse than an event too many.
        self._audit(action, name, actor, detail, "started", None)
        try:
            yield detail
        except HowdahError as error:
            self._audit(action, name, actor, {**detail, "code": error.code}, "finished", "failed")
            raise
        self._audit(action, name, actor, detail, "finished", "done")

    def _audit(
        self, action: Permission, name: str, actor: str, detail: dict[str, Any], phase: str, result: str | None
    ) -> None:
        with self._core.store.connect_audit() as connection:
            audit.add_event(
                connection,
                actor=actor,
                action=action,
                object=minting.masked(name)[:200],
                phase=phase,
                result=result,
                detail=detail,
            )


def _no_good(record: TokenRecord | None) -> HowdahError | None:
    if record is None:
        return HowdahError("token_invalid", "that token isn't known here", hint=_HINT)
    if record.revoked:
        return HowdahError("token_revoked", f'token "{record.name}" was revoked', hint=_HINT)
    if record.expired:
        return HowdahError("token_expired", f'token "{record.name}" has expired', hint=_HINT)
    return None


def _actor(record: TokenRecord) -> str:
    return f"token:{record.name}"


def _view(record: TokenRecord) -> TokenView:
    return TokenView(
        name=record.name,
        scope=str(record.reach),
        state="expired" if record.expired else "valid",
        created_by=record.created_by,
        created_at=record.created_at,
        expires_at=record.expires_at,
        last_used_at=record.last_used_at,
    )
