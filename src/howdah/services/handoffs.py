"""Hand-offs: a URL goes to somebody by a link that works once, and no password is made before it is opened."""

from typing import Any

from howdah.domain import handoffs as links
from howdah.domain.errors import HowdahError, TooManyFailures
from howdah.domain.handoffs import CreatedHandoff, HandoffLook, HandoffView, OpenedHandoff
from howdah.domain.names import names_for
from howdah.domain.permissions import Permission
from howdah.domain.records import AppRecord, RoleRecord
from howdah.domain.rotations import DEFAULT_GRACE_S, WHOLE_URL
from howdah.domain.specs import Access
from howdah.services.added_logins import AddedLogins
from howdah.services.core import Core
from howdah.services.logins import Logins
from howdah.services.operations import Operations
from howdah.services.refusals import Refusals
from howdah.services.rotations import Rotations
from howdah.store import handoffs as handoff_store
from howdah.store.handoffs import HandoffRecord


class Handoffs:
    """Makes links, and opens each of them once."""

    def __init__(
        self,
        core: Core,
        operations: Operations,
        logins: Logins,
        rotations: Rotations,
        added_logins: AddedLogins,
        refusals: Refusals,
    ):
        self._core = core
        self._operations = operations
        self._logins = logins
        self._rotations = rotations
        self._added_logins = added_logins
        self._refusals = refusals
        # Where links lead, and whether that is this machine alone; whoever serves the API sets them.
        self.base: str | None = None
        self.local = True

    def create(
        self,
        app: str,
        actor: str,
        *,
        login: str | None = None,
        label: str | None = None,
        access: Access = Access.OWNER,
        login_lives_s: int | None = None,
        addressee: str | None = None,
        ttl_s: int = links.DEFAULT_TTL_S,
        passphrase: str | None = None,
    ) -> CreatedHandoff:
        """Make a link to the URL of one of an app's logins (default: its owner login), or of a new one, `label`.

        Nothing else happens before it is opened. Raises HowdahError `app_not_found`, `login_not_found`,
        `rotation_running` where both of the login's pair are in use, `login_exists`, `api_off`.
        """
        record = self._core.live_app(app)
        if self.base is None:
            raise HowdahError(
                "api_off",
                "a hand-off needs howdah's API on TCP, where its link leads",
                hint="`howdah up --api-bind 127.0.0.1:8432` opens it on this machine; the guide's section on "
                "hand-offs says how others reach it.",
            )
        if label is not None:
            name = self._new_name(record, label)
        else:
            role = record.login(login, access)[1]
            self._check_pair(record, role)
            name, access = role.name, role.access or access
        token = links.mint()
        hash = links.digest(token)
        assert hash is not None
        salt, sealed = links.seal(passphrase) if passphrase else (None, None)
        with self._operations.run("handoff.create", app, actor) as operation:
            operation.audited = {"login": name, "to": addressee, "ttl_s": ttl_s, "passphrase": bool(passphrase)}
            with self._core.store.connect() as stored:
                id = handoff_store.add_handoff(
                    stored,
                    app,
                    hash,
                    ttl_s,
                    login=None if label else name,
                    label=label,
                    access=access if label else None,
                    login_lives_s=login_lives_s if label else None,
                    salt=salt,
                    passphrase=sealed,
                    addressee=addressee,
                    created_by=actor,
                )
                made = handoff_store.find(stored, id)
            assert made is not None
            operation.audited["id"] = id
            operation.answer = {"id": id}
        notices = []
        if self.local:
            notices.append(
                "The link works on this machine only. For others, howdah needs an address that they reach: "
                "`howdah up --public-url https://…`, with a certificate or behind a proxy."
            )
        # Behind #, where no server's log and no Referer has it.
        link = f"{self.base}{links.PATH}#{token}"
        return CreatedHandoff(id, app, name, access, addressee, made.expires_at, link, notices)

    def _new_name(self, record: AppRecord, label: str) -> str:
        name, _ = names_for(record.name).added_logins(label)
        if any(role.name == name for database in record.databases for role in database.logins):
            raise HowdahError(
                "login_exists",
                f'app "{record.name}" has a login "{name}" already',
                hint=f"`howdah handoff {record.name} --login {name}` hands that over.",
            )
        return name

    def _check_pair(self, record: AppRecord, role: RoleRecord) -> None:
        database = next(d for d in record.databases if role in d.logins)
        base, twin = database.pair_of(role)
        if twin is not None and base.enabled and twin.enabled:
            raise HowdahError(
                "rotation_running",
                f'both logins of the pair are in use: "{base.name}" and "{twin.name}"',
                detail="A hand-off makes a new password, and never touches one that is in use.",
                hint=f"`howdah handoff {record.name} --as NAME` hands over a login of its own; `howdah rotate finish "
                f"{record.name} --login {role.name}` closes the older of the two.",
            )

    def list(self, app: str | None = None) -> list[HandoffView]:
        """Every link, or an app's, the newest first; never its secret. Raises HowdahError `app_not_found`."""
        if app is not None:
            self._core.app(app)
        with self._core.store.connect() as stored:
            return [_view(record) for record in handoff_store.list_handoffs(stored, app)]

    def app_of(self, id: int) -> str | None:
        """The app that a link is about; None where there is no such link."""
        with self._core.store.connect() as stored:
            record = handoff_store.find(stored, id)
        return record.app if record else None

    def revoke(self, id: int, actor: str) -> None:
        """End a link that wasn't opened. Raises HowdahError `handoff_not_found`, `handoff_gone`."""
        with self._core.store.connect() as stored:
            record = handoff_store.find(stored, id)
        if record is None:
            raise handoff_not_found(id)
        with self._operations.run("handoff.revoke", record.app, actor) as operation:
            operation.audited = {"id": id}
            with self._core.store.connect() as stored:
                if not handoff_store.revoke(stored, id):
                    raise _gone(record)

    def look(self, token: str, address: str) -> HandoffLook:
        """What a link is for; it stays as good as it was. Raises HowdahError `handoff_not_found`, `handoff_gone`."""
        record = self._find(token, address)
        name = _name(record)
        return HandoffLook(record.app, name, record.expires_at, record.passphrase is not None, record.created_by)

    def open(self, token: str, passphrase: str | None, address: str) -> OpenedHandoff:
        """Make a password and show its URL, once.

        A login that was never issued gets one; of one in use, its twin does, as in a rotation; or one is made.
        Raises HowdahError `handoff_not_found`, `handoff_gone`, `passphrase_wrong`, `too_many_failures`, and what
        keeps a password from being made, which leaves the link as good as it was.
        """
        record = self._find(token, address)
        self._check_passphrase(record, passphrase, address)
        actor = f"handoff {record.id}" + (f" ({record.addressee})" if record.addressee else "")
        with self._operations.run("handoff.open", record.app, actor) as operation:
            operation.audited = {"id": record.id, "login": _name(record), "address": address}
            with self._core.store.connect() as stored:
                if not handoff_store.consume(stored, record.id, address):
                    raise _gone(handoff_store.find(stored, record.id) or record)
            try:
                opened = self._mint(record, actor)
            except BaseException:
                with self._core.store.connect() as stored:
                    handoff_store.take_back(stored, record.id)
                raise
            gave = opened.logins[0].name
            operation.audited["gave"] = gave
            operation.answer = {"login": gave}
            with self._core.store.connect() as stored:
                handoff_store.set_given(stored, record.id, gave)
            return opened

    def _mint(self, record: HandoffRecord, actor: str) -> OpenedHandoff:
        if record.label is not None:
            added = self._added_logins.add(
                record.app,
                record.label,
                Access(record.access or ""),
                record.created_by,
                expires_s=record.login_lives_s,
                reason=f"hand-off {record.id}" + (f" to {record.addressee}" if record.addressee else ""),
            )
            return OpenedHandoff(record.app, added.database, added.logins, [])
        app = self._core.live_app(record.app)
        # The pair's open login, should it have been rotated since the link was made.
        role = self._open_of_pair(app, record.login or "")
        if role.password_changed_at is None:
            issued = self._logins.new_password(record.app, role.name, False, actor)
            return OpenedHandoff(record.app, issued.database, issued.logins, [])
        self._check_pair(app, role)
        rotated = self._rotations.rotate(record.app, role.name, actor, grace_s=DEFAULT_GRACE_S)
        old = rotated.rotations[0].old
        works_on = f"{old} works as before, and goes once it is unused for a day."
        return OpenedHandoff(record.app, rotated.database, rotated.logins, [WHOLE_URL, works_on])

    def _open_of_pair(self, app: AppRecord, login: str) -> RoleRecord:
        for database in app.databases:
            for role in database.logins:
                if role.name == login and not role.enabled:
                    base, twin = database.pair_of(role)
                    other = twin if role == base else base
                    if other is not None and other.enabled:
                        return other
        return app.login(login)[1]

    def _find(self, token: str, address: str) -> HandoffRecord:
        hash = links.digest(token)
        wait = self._refusals.wait(address)
        if wait:
            error = TooManyFailures(
                "too_many_failures",
                "too many links that are no good came from this address",
                retry_after=wait,
                hint=f"Try again in {wait} s.",
            )
            raise self._refused(error, address, None)
        record = None
        if hash is not None:
            with self._core.store.connect() as stored:
                record = handoff_store.find_by_hash(stored, hash)
        if record is None:
            self._refusals.failed(address)
            raise self._refused(handoff_not_found(), address, None)
        if record.opened_at or record.revoked_at or record.expired:
            raise self._refused(_gone(record), address, record)
        return record

    def _check_passphrase(self, record: HandoffRecord, given: str | None, address: str) -> None:
        if record.salt is None or record.passphrase is None:
            return
        if given is not None and links.is_passphrase(given, record.salt, record.passphrase):
            return
        error = HowdahError("passphrase_wrong", "that is not the passphrase of this link")
        if given:
            self._refusals.failed(address)
            with self._core.store.connect() as stored:
                handoff_store.fail(stored, record.id, links.MOST_FAILURES)
            left = links.MOST_FAILURES - record.failures - 1
            error.detail = f"It can be tried {left} times more." if left > 0 else "The link is no good any more."
        raise self._refused(error, address, record)

    def _refused(self, error: HowdahError, address: str, record: HandoffRecord | None) -> HowdahError:
        about: Any = f"hand-off {record.id} of {record.app}" if record else "a link that is none"
        self._refusals.record(error, address=address, actor=address, action=Permission.HANDOFF_OPEN, object=about)
        return error


def handoff_not_found(id: int | None = None) -> HowdahError:
    """The error for a link that isn't one of ours, or that the caller may not know of."""
    what = "that link is none of this howdah's" if id is None else f"there is no hand-off {id}"
    hint = "Copy it whole, with what stands behind #." if id is None else "`howdah handoffs` shows those there are."
    return HowdahError("handoff_not_found", what, hint=hint)


def _gone(record: HandoffRecord) -> HowdahError:
    hint = f"Ask {record.created_by} for a new one: `howdah handoff {record.app}`."
    if record.opened_at is not None:
        error = HowdahError(
            "handoff_gone",
            "that link was opened already",
            detail=f"It was opened at {record.opened_at:%Y-%m-%d %H:%M:%S %Z}, from {record.opened_from}.",
            hint=hint,
        )
        if record.gave is not None:
            error.hint = (
                f"If that wasn't you, the URL is in somebody else's hands: `howdah rotate {record.app} --login "
                f"{record.gave} --now` ends it. {hint}"
            )
        return error
    if record.revoked_at is not None:
        return HowdahError("handoff_gone", "that link was revoked", hint=hint)
    return HowdahError(
        "handoff_gone", "that link has expired", detail=f"It was good until {record.expires_at:%c %Z}.", hint=hint
    )


def _name(record: HandoffRecord) -> str:
    return record.login or f"{record.app}__{record.label}"


def _view(record: HandoffRecord) -> HandoffView:
    state = "waiting"
    if record.opened_at is not None:
        state = "opened"
    elif record.revoked_at is not None:
        state = "revoked"
    elif record.expired:
        state = "expired"
    return HandoffView(
        id=record.id,
        app=record.app,
        login=_name(record),
        state=state,
        addressee=record.addressee,
        passphrase=record.passphrase is not None,
        created_by=record.created_by,
        created_at=record.created_at,
        expires_at=record.expires_at,
        opened_at=record.opened_at,
        opened_from=record.opened_from,
        gave=record.gave,
    )
