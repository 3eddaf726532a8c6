"""The description of the API holds: what fits it is answered, what does not is refused."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.core.failures import FailureGroup
from web_small import SmallGraph, client_of, small_app

from personarec.web.access import Access
from personarec.web.app import create_app

# Not only for this machine: the requests made here carry a Host of their own.
APP = create_app(small_app()[1], Access(None, local=False))
schema = schemathesis.openapi.from_asgi("/openapi.json", APP)


@schema.parametrize()
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_requests_made_from_the_description(case: Any) -> None:
    case.call_and_validate()


def test_a_defect_is_found_this_way() -> None:
    graph = SmallGraph()
    live = small_app(graph)[1]
    graph.fault = lambda name: (_ for _ in ()).throw(ValueError(name))
    broken = create_app(live, Access(None, local=False))
    operation = schemathesis.openapi.from_asgi("/openapi.json", broken)["/ready"]["GET"]
    with pytest.raises(FailureGroup, match="1 distinct failure"):
        operation.Case().call_and_validate()


def test_the_description_names_every_endpoint_and_only_problems_as_errors() -> None:
    described = client_of(APP).get("/openapi.json").json()
    assert set(described["paths"]) == {
        "/recommend", "/recommend/batch", "/sessions", "/personas/{user}",
        "/personas/{user}/neighbours", "/personas/{user}/prototypes", "/prototypes",
        "/items/{item}", "/search", "/health", "/ready", "/metrics",
        "/-/reload",
    }  # fmt: skip
    for methods in described["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if status != "200":
                    assert list(response["content"]) == ["application/problem+json"]


@pytest.mark.parametrize("name", ["ForUser", "ForItems", "Batch"])
def test_the_examples_fit(name: str) -> None:
    from personarec.web import bodies

    model = getattr(bodies, name)
    examples = model.model_json_schema()["examples"]
    assert examples
    for example in examples:
        model.model_validate(example)
