"""What every response has, whatever was asked."""

from __future__ import annotations

import re
from typing import Any

import pytest
from structlog.testing import capture_logs

from boxoffice.gateway import pages
from boxoffice.gateway.counting import Counting
from boxoffice.gateway.cross_origin import CrossOrigin
from boxoffice.gateway.limits import Rate
from boxoffice.gateway.messages import Problem, Request, Response
from boxoffice.gateway.recent import Recent
from boxoffice.gateway.routes import Routes
from boxoffice.gateway.service import Gateway
from tests.unit.gateway_requests import KnownCallers, admission, request, responded

SHOP = "https://shop.example"


async def _posted(_: Request, event: str) -> Response:
    return Response(201, [], event.encode())


async def _problem(_: Request, name: str) -> Response:
    raise Problem(name, "As it was asked for.")


async def _fails(_: Request) -> Response:
    raise RuntimeError("nobody expects this")


def gateway(**parts: Any) -> Gateway:
    routes = Routes(
        {
            "/": {"GET": pages.index},
            "/v1/events/{event}/purchases": {"POST": _posted},
            "/problems/{name}": {"GET": _problem, "POST": _problem},
            "/fails": {"GET": _fails},
        }
    )
    known = KnownCallers()
    return Gateway(
        routes,
        admission(known.callers, **parts),
        Recent(10, 10**6, lambda _: None),
        Counting(),
        CrossOrigin(frozenset({SHOP})),
    )


def header(response: Response, name: str) -> str | None:
    values = [value for found, value in response.headers if found == name]
    assert len(values) <= 1, values
    return values[0] if values else None


@pytest.mark.parametrize("given", ["x", "a" * 128, "01HF3:trace/7=+~.-_@"])
async def test_a_request_keeps_the_name_that_its_caller_gave_it(given: str) -> None:
    response = await responded(gateway(), request(x_request_id=given))
    assert header(response, "x-request-id") == given


@pytest.mark.parametrize(
    "given", [None, "", " ", "a b", "a" * 129, "é", "x\r\nset-cookie: a=b", 'x"', "<script>", "x,y"]
)
async def test_a_request_without_a_harmless_name_gets_one(given: str | None) -> None:
    found = gateway()
    responses = [
        await responded(found, request(**({} if given is None else {"x_request_id": given}))) for _ in range(2)
    ]
    names = [header(response, "x-request-id") or "" for response in responses]
    assert all(re.fullmatch(r"[0-9a-f-]{18,40}", name) for name in names)
    assert names[0] != names[1]


async def test_every_problem_has_its_request_s_name_and_its_type() -> None:
    for asks, status in (
        (request(path="/nowhere"), 404),
        (request("DELETE"), 405),
        (request(path="/fails"), 500),
        (request(path="/problems/sold-out"), 409),
    ):
        with capture_logs():
            response = await responded(gateway(), asks)
        assert response.status == status
        assert header(response, "content-type") == "application/problem+json"
        assert header(response, "x-request-id") == asks.id


async def test_what_an_operator_can_mend_is_logged_with_its_request_s_name_and_without_its_secret() -> None:
    for name, method in (("unavailable", "GET"), ("outcome-unknown", "POST"), ("not-taken", "POST")):
        asks = request(method, f"/problems/{name}", query="secret=x", x_request_id="r-7", traceparent="00-1-2-01")
        with capture_logs() as logs:
            await responded(gateway(), asks)
        [line] = logs
        assert (line["x_request_id"], line["traceparent"], line["path"]) == ("r-7", "00-1-2-01", f"/problems/{name}")
        assert "secret" not in str(line)


async def test_what_callers_do_wrong_is_not_logged() -> None:
    with capture_logs() as logs:
        for name in ("sold-out", "rate-limited", "overloaded", "unauthenticated", "outcome-unknown"):
            await responded(gateway(), request(path=f"/problems/{name}"))
    assert logs == []


async def test_a_failure_that_nobody_expects_is_logged_and_not_shown() -> None:
    with capture_logs() as logs:
        response = await responded(gateway(), request(path="/fails", x_request_id="r-7"))
    assert b"nobody expects" not in response.body
    assert [(line["log_level"], line["x_request_id"]) for line in logs] == [("error", "r-7")]


async def test_what_cannot_be_done_at_a_path_is_told_with_what_can() -> None:
    found = gateway()
    for method, path, allowed in (
        ("PUT", "/", "GET, HEAD, OPTIONS"),
        ("GET", "/v1/events/42/purchases", "OPTIONS, POST"),
        ("HEAD", "/v1/events/42/purchases", "OPTIONS, POST"),
        ("POST", "/", "GET, HEAD, OPTIONS"),
    ):
        response = await responded(found, request(method, path))
        assert (response.status, header(response, "allow")) == (405, allowed)
    response = await responded(found, request("OPTIONS", "/v1/events/42/purchases"))
    assert (response.status, header(response, "allow"), response.body) == (204, "OPTIONS, POST", b"")
    assert (await responded(found, request("OPTIONS", "*"))).status == 404


async def test_a_get_is_answered_for_head_too() -> None:
    found = gateway()
    assert (await responded(found, request("HEAD"))).status == (await responded(found, request())).status == 200


async def test_a_page_of_an_origin_that_was_set_may_ask() -> None:
    found = gateway()
    asks = request("OPTIONS", "/v1/events/42/purchases", origin=SHOP, access_control_request_method="POST")
    response = await responded(found, asks)
    assert response.status == 204
    assert header(response, "access-control-allow-origin") == SHOP
    assert header(response, "access-control-allow-methods") == "OPTIONS, POST"
    assert "idempotency-key" in (header(response, "access-control-allow-headers") or "")
    assert header(response, "access-control-allow-credentials") is None
    response = await responded(found, request("POST", "/v1/events/42/purchases", origin=SHOP))
    assert header(response, "access-control-allow-origin") == SHOP
    assert "location" in (header(response, "access-control-expose-headers") or "")
    problem = await responded(found, request(path="/nowhere", origin=SHOP))
    assert header(problem, "access-control-allow-origin") == SHOP


@pytest.mark.parametrize(
    "origin", ["https://shop.example.evil", "https://evil", "null", "http://shop.example", "*", "", None]
)
async def test_a_page_of_another_origin_may_not(origin: str | None) -> None:
    headers = {} if origin is None else {"origin": origin}
    response = await responded(
        gateway(), request("OPTIONS", "/v1/events/42/purchases", **headers, access_control_request_method="POST")
    )
    assert not [name for name, _ in response.headers if name.startswith("access-control-")]
    assert header(response, "vary") == "origin"


async def test_nothing_is_said_of_origins_where_none_was_set() -> None:
    assert CrossOrigin(frozenset()).headers(request(origin=SHOP)) == []
    assert CrossOrigin(frozenset()).preflight(request(origin=SHOP, access_control_request_method="GET"), "GET") == []


async def test_an_address_is_limited_wherever_it_asks() -> None:
    found = gateway(address_rate=Rate(0.001, 1))
    assert (await responded(found, request())).status == 200
    for path in ("/", "/nowhere", "/v1/events/42/purchases"):
        response = await responded(found, request("POST", path))
        assert response.status == 429
        assert header(response, "retry-after") is not None


async def test_a_body_that_cannot_be_read_is_refused_as_everything_else() -> None:
    response = gateway().refuse(request("POST", x_request_id="r-7", origin=SHOP), Problem("too-large", "It is."))
    assert (response.status, header(response, "x-request-id")) == (413, "r-7")
    assert header(response, "access-control-allow-origin") == SHOP
