"""The OpenAPI document of the durable wire: whole, current, and served."""

from pathlib import Path

import pytest

from triplane_durable.openapi import document
from triplane_durable.openapi.document import text
from triplane_durable.openapi.requests import BODIES, QUERIES
from triplane_durable.openapi.responses import ANSWERS
from triplane_durable.routes import ROUTES

COMMITTED = Path(__file__).parents[3] / "schemas" / "triplane_schemas" / "durable" / "openapi.json"


def test_the_committed_document_is_current():
    assert COMMITTED.read_text() == text(), "run `make schemas`"


def test_every_route_is_described():
    described = {(method.upper(), path[1:]) for path, methods in document()["paths"].items() for method in methods}
    assert {(method, path) for method, path, _ in ROUTES} <= described
    handlers = {route.handler for _, _, route in ROUTES}
    assert set(ANSWERS) == handlers and set(QUERIES) <= handlers
    takes_body = {route.handler for method, _, route in ROUTES if method in ("POST", "PUT")}
    assert takes_body <= set(BODIES) <= handlers


def test_every_name_that_is_referred_to_is_there():
    found = text().split('"#/components/schemas/')[1:]
    assert {part.partition('"')[0] for part in found} == set(document()["components"]["schemas"])


@pytest.mark.parametrize("path", ["workflows", "workflows/{workflow_id}/signal/{name}", "worker/workflow-tasks/{task_id}/complete"])
def test_a_route_names_its_parameters_bounds_and_refusals(path):
    operation = document()["paths"][f"/{path}"]["post"]
    assert {"404", "422"} <= operation["responses"].keys()
    names = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
    assert names == {part[1:-1] for part in path.split("/") if part[0] == "{"}
    properties = operation["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert all(schema for schema in properties.values())
