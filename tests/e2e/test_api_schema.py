"""The whole API against its own description: requests made up from it, valid and not, to a running howdah.

No answer may be a fault of howdah's, be undocumented, or differ from what the description says.
"""

import http.client
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.e2e.conftest import Remote, running_remote

CHECKS = [
    schemathesis.checks.not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
# A create makes a database; the others take a few milliseconds.
EXAMPLES = 12
CREATES = 4


@pytest.fixture(scope="module")
def remote() -> Iterator[Remote]:
    """A howdah of its own: whatever may be asked of it is asked."""
    with running_remote() as remote:
        yield remote


def description(remote: Remote) -> Any:
    address = urlsplit(remote.url)
    with closing(http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)) as connection:
        connection.request("GET", "/openapi.json", headers={"Authorization": f"Bearer {remote.tokens['read']}"})
        return json.loads(connection.getresponse().read())


def _fit(body: dict[str, Any]) -> None:
    """What the schema can't say of backups and restores."""
    if "source" in body:
        body["source"] = "postgresql://nobody@127.0.0.1:1/postgres"
    if body.get("repository"):
        body["repository"] = ""
    moments = [name for name in ("time", "lsn", "mark", "before_drop") if body.get(name) is not None]
    for name in moments[1:]:
        del body[name]


@pytest.mark.parametrize(
    ("scope", "mode"),
    [
        ("admin", GenerationMode.POSITIVE),
        ("read", GenerationMode.POSITIVE),
        ("mine", GenerationMode.POSITIVE),
        ("admin", GenerationMode.NEGATIVE),
    ],
)
def test_the_api_is_as_described(remote: Remote, scope: str, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_dict(description(remote))
    schema.config.update(base_url=remote.url)
    headers = {"Authorization": f"Bearer {remote.tokens[scope]}"}
    operations = [each["id"] for each in remote.howdah.json("operations") if each["app"] == "mine"]
    checks = [*CHECKS, positive_data_acceptance] if mode is GenerationMode.POSITIVE else CHECKS
    asked = 0
    wrong: list[str] = []
    statuses: defaultdict[str, set[int]] = defaultdict(set)
    for operation in (found.ok() for found in schema.get_all_operations()):
        creates = (operation.method, operation.path) == ("post", "/api/v1/apps") and mode is GenerationMode.POSITIVE

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=CREATES if creates and scope == "admin" else EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: Any) -> None:
            nonlocal asked
            asked += 1
            if mode is GenerationMode.POSITIVE and asked % 2:
                # Made-up names are of nothing that exists; half of the requests shall find something.
                known = {"app": "mine", "operation": operations[0]}
                case.path_parameters |= {name: known[name] for name in case.path_parameters if name in known}
            if "Idempotency-Key" in case.headers and mode is GenerationMode.POSITIVE:
                # A key that was made up twice belongs to another request, as it should.
                case.headers["Idempotency-Key"] = f"{scope}-{asked}"
            if mode is GenerationMode.POSITIVE and isinstance(case.body, dict) and "conninfo" in case.body:
                # What the schema can't say; and nobody elsewhere shall be knocked at. Nothing listens on port 1.
                case.body["conninfo"] = "postgresql://nobody@127.0.0.1:1/postgres"
            if mode is GenerationMode.POSITIVE and isinstance(case.body, dict):
                _fit(case.body)
            answer = case.call_and_validate(headers=headers, checks=checks, timeout=60)
            statuses[case.operation.label].add(answer.status_code)
            if answer.status_code == 200 and case.operation.path.endswith("/rename"):
                # The next ones shall find it too.
                remote.howdah.run("rename", answer.json()["app"], "mine")

        try:
            ask()
        except Unsatisfiable:
            continue  # nothing about this operation can be invalid
        except (Exception, BaseExceptionGroup) as error:
            wrong.append(f"{operation.label}: {error}")
    assert not wrong, "\n\n".join(wrong)
    assert asked > 100
    print(scope, mode, dict(statuses))
