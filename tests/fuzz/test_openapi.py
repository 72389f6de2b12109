"""Requests made from the OpenAPI document against a real gateway: no 5xx, and every answer is as the document says.

`make test` makes some of each route; `make test-all` many more.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway_process import GatewayProcess
from triplane_durable.openapi import document

CHECKS = (
    status_code_conformance, content_type_conformance, response_headers_conformance, response_schema_conformance,
)  # fmt: skip
CONFIG = """
[auth]
local_role = "admin"
[engines.durable]
query_timeout_s = 0.05
[nexus.string.string.string]
workflow_type = "nobody"
task_queue = "nobody"
"""
NOBODY_ANSWERED = ("query_task_not_claimed", "query_worker_timeout", "query_worker_execution_timeout")
"""What a 504 is for: there is a worker for the query, and it does not poll."""
SHORT_POLLS = {"TRIPLANE__ADAPTERS__DURABLE__LONG_POLL_S": "0.02"}
FEW, MANY = 8, 150
SCHEMA = schemathesis.openapi.from_dict(document())
OPERATIONS = [
    (method, path) for path, methods in document()["paths"].items() for method in methods
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway that has a bit of everything under ids that are easily hit."""
    with GatewayProcess(tmp_path_factory.mktemp("openapi"), CONFIG, SHORT_POLLS) as gateway:
        control = {"X-Durable-Workflow-Control-Plane-Version": "2"}
        worker = {"X-Durable-Workflow-Protocol-Version": "1.20"}
        made: list[tuple[str, Any, dict[str, str]]] = [
            ("workflows", {"workflow_id": "0", "workflow_type": "t", "task_queue": "0"}, control),
            ("workflows/0/signal/go", {"input": [1]}, control),
            ("activities", {"activity_id": "00", "activity_type": "a", "task_queue": "0"}, control),
            ("search-attributes", {"name": "A", "type": "keyword"}, control),
            ("namespaces", {"name": "0"}, control),
            ("schedules", {"schedule_id": "0", "spec": {"intervals": [{"every": "PT1H"}]}, "action": {"workflow_type": "t"}}, control),
            ("worker/register", {"worker_id": "0", "task_queue": "0", "runtime": "python"}, worker),
        ]
        for path, body, headers in made:
            status, answer = gateway.http("POST", f"/api/{path}", body, **headers)
            assert status in (200, 201, 202), answer
        yield f"http://127.0.0.1:{gateway.http_port}/api"


def play(url: str, method: str, path: str, examples: int) -> None:
    """Send so many requests to one route, sound and unsound ones, and check each answer."""

    @given(case=SCHEMA[path][method].as_strategy())
    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def run(case: Any) -> None:
        if isinstance(case.body, dict) and isinstance(case.body.get("wait_timeout_seconds"), int | float):
            case.body["wait_timeout_seconds"] = 0  # a wait is no fault, but there are many of them
        response = case.call(base_url=url)
        assert response.status_code < 500 or response.json()["reason"] in NOBODY_ANSWERED, response.text
        case.validate_response(response, checks=list(CHECKS))

    run()


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda part: part)
def test_a_route_answers_as_its_description_says(url: str, method: str, path: str) -> None:
    play(url, method, path, FEW)


@pytest.mark.full
@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda part: part)
def test_a_route_answers_many_requests_as_its_description_says(url: str, method: str, path: str) -> None:
    play(url, method, path, MANY)
