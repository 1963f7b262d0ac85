"""Which request goes where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.gateway.messages import Response
from boxoffice.gateway.routes import Routes


async def one() -> Response:
    return Response(200, [])


async def other() -> Response:
    return Response(200, [])


ROUTES = Routes(
    {
        "/": {"GET": one},
        "/v1/events": {"GET": one, "POST": other},
        "/v1/events/{event}/purchases": {"POST": one},
        "/v1/events/{event}/tickets/{file}": {"GET": other},
        "/v1/problems/{name}": {"GET": one},
        "/v1/problems/all": {"GET": other},
    }
)


@pytest.mark.parametrize(
    ("path", "variables"),
    [
        ("/", []),
        ("/v1/events", []),
        ("/v1/events/42/purchases", ["42"]),
        ("/v1/events/42/tickets/42-000001.pdf", ["42", "42-000001.pdf"]),
        ("/v1/problems/sold-out", ["sold-out"]),
        ("/v1/problems/all", []),
    ],
)
def test_a_path_is_found_with_its_variable_parts(path: str, variables: list[str]) -> None:
    found = ROUTES.find(path)
    assert found is not None
    assert found.variables == tuple(variables)


@pytest.mark.parametrize(
    "path",
    ["", "*", "//", "/v1", "/v1/", "/v1/events/", "/v1/events//purchases", "/v1/events/42", "/V1/events", "/v1/x"],
)
def test_nothing_is_at_other_paths(path: str) -> None:
    assert ROUTES.find(path) is None


@given(st.text())
def test_no_path_is_too_odd_to_be_looked_for(path: str) -> None:
    ROUTES.find(path)
    ROUTES.find(f"/v1/events/{path}")


def test_head_is_answered_as_get_and_the_methods_are_named() -> None:
    found = ROUTES.find("/v1/events")
    assert found is not None
    assert found.handler("HEAD") is found.handler("GET") is one
    assert found.handler("POST") is other
    assert found.handler("DELETE") is found.handler("get") is None
    assert found.allowed == "GET, HEAD, OPTIONS, POST"
    posted = ROUTES.find("/v1/events/42/purchases")
    assert posted is not None
    assert posted.handler("HEAD") is None
    assert posted.allowed == "OPTIONS, POST"
