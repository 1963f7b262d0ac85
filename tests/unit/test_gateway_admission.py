"""Who is let in, and what the others are told."""

from __future__ import annotations

import pytest

from boxoffice.gateway.admission import GUESS_COSTS, Admission
from boxoffice.gateway.limits import Rate, Waiting
from boxoffice.gateway.messages import Problem, Request
from tests.unit.gateway_requests import KnownCallers, admission, request

SHOP, OTHER = "shop000000", "other00000"


class Bench:
    """Two shops with a key each, and one that may read."""

    def __init__(self, **parts: object) -> None:
        self.known = KnownCallers()
        self.key = self.known.add(SHOP, "buy")
        self.other = self.known.add(OTHER, "buy", events=("43",))
        self.reader = self.known.add("reader0000", "read")
        self.admission: Admission = admission(self.known.callers, **parts)  # type: ignore[arg-type]

    def secret(self, event_id: str = "42", key: str = "k-1", caller: str = SHOP) -> str:
        return f"{caller}.{self.known.find(caller).proof(event_id, f'{caller}:{key}')}"

    def whose(self, asks: Request, event_id: str = "42", key: str = "k-1") -> str:
        return self.admission.request_of(asks, event_id, key)


def problem_of(bench: Bench, asks: Request, event_id: str = "42", key: str = "k-1") -> str:
    with pytest.raises(Problem) as raised:
        bench.whose(asks, event_id, key)
    return raised.value.name


def test_a_request_is_shown_to_whoever_has_its_secret() -> None:
    bench = Bench()
    assert bench.whose(request(query=f"secret={bench.secret()}")) == f"{SHOP}:k-1"
    assert bench.whose(request(query=f"secret={bench.secret(key='k:1')}"), key="k:1") == f"{SHOP}:k:1"


@pytest.mark.parametrize(
    "query", ["secret=", "secret=x", "secret=shop000000.", "secret=shop000000", "secret=.", "secret=%00.%ff", "secret"]
)
def test_what_is_no_secret_opens_nothing(query: str) -> None:
    bench = Bench()
    assert problem_of(bench, request(query=query, key=bench.key)) == "forbidden"


def test_a_secret_opens_its_own_request_only() -> None:
    bench = Bench()
    for event_id, key in (("43", "k-1"), ("42", "k-2")):
        assert problem_of(bench, request(query=f"secret={bench.secret(event_id, key)}")) == "forbidden"
    # Another shop's secret for the same key opens that shop's request.
    assert bench.whose(request(query=f"secret={bench.secret(caller=OTHER)}")) == f"{OTHER}:k-1"
    proof = bench.secret().partition(".")[2]
    assert problem_of(bench, request(query=f"secret={OTHER}.{proof}")) == "forbidden"
    bench.known.callers.take(SHOP.encode(), None)
    assert problem_of(bench, request(query=f"secret={SHOP}.{proof}")) == "forbidden"


def test_a_caller_sees_his_own_requests_and_with_read_those_of_others() -> None:
    bench = Bench()
    assert bench.whose(request(key=bench.key)) == f"{SHOP}:k-1"
    assert bench.whose(request(key=bench.key, query=f"caller={SHOP}")) == f"{SHOP}:k-1"
    assert bench.whose(request(key=bench.reader, query=f"caller={SHOP}")) == f"{SHOP}:k-1"
    assert bench.whose(request(key=bench.reader)) == "reader0000:k-1"
    assert problem_of(bench, request(key=bench.key, query=f"caller={OTHER}")) == "forbidden"
    assert problem_of(bench, request(key=bench.other)) == "forbidden"
    assert bench.whose(request(key=bench.other), event_id="43") == f"{OTHER}:k-1"


def test_without_key_and_secret_nothing_is_shown() -> None:
    bench = Bench()
    assert problem_of(bench, request()) == "unauthenticated"
    assert problem_of(bench, request(authorization="Bearer bo_x")) == "unauthenticated"
    assert problem_of(bench, request(key=bench.key), key="k 1") == "not-known"
    # The server has decoded the path once, and nobody does so again.
    assert problem_of(bench, request(key=bench.key), key="k%3A1") == "not-known"
    assert problem_of(bench, request(key=bench.key, query="&".join(["a=1"] * 20))) == "invalid-query"


def test_an_address_that_asks_too_often_is_refused_before_its_key_is_looked_at() -> None:
    bench = Bench(address_rate=Rate(0.001, 3))
    for _ in range(3):
        bench.admission.by_address(request())
    with pytest.raises(Problem) as raised:
        bench.admission.by_address(request())
    response = raised.value.response()
    assert response.status == 429
    headers = dict(response.headers)
    assert headers["ratelimit-policy"] == '"address";q=3;w=3000'
    assert headers["ratelimit"].startswith('"address";r=0;t=')
    assert int(headers["retry-after"]) >= 1
    bench.admission.by_address(request(address="192.0.2.2"))


def test_who_guesses_keys_or_secrets_is_refused_soon() -> None:
    for guess in (request(authorization="Bearer bo_x"), request(query="secret=shop000000.x")):
        bench = Bench(address_rate=Rate(0.001, 10 * GUESS_COSTS))
        for _ in range(10):
            bench.admission.by_address(request())
            with pytest.raises(Problem, match=r"unauthenticated|forbidden"):
                bench.whose(guess)
        with pytest.raises(Problem, match="rate-limited"):
            bench.admission.by_address(request())


def test_who_sends_no_key_guesses_none() -> None:
    bench = Bench(address_rate=Rate(0.001, 2))
    with pytest.raises(Problem, match="unauthenticated"):
        bench.admission.caller(request())
    bench.admission.by_address(request())


def test_a_key_s_limit_is_told_with_every_response() -> None:
    bench = Bench(rate=Rate(0.001, 2))
    asks = request(key=bench.key)
    bench.admission.caller(asks)
    assert asks.also == [("ratelimit-policy", '"key";q=2;w=2000'), ("ratelimit", '"key";r=1;t=1000')]
    bench.admission.caller(request(key=bench.key))
    refused = request(key=bench.key)
    with pytest.raises(Problem, match="rate-limited") as raised:
        bench.admission.caller(refused)
    assert dict(refused.also)["ratelimit"].startswith('"key";r=0;t=')
    assert [name for name, _ in raised.value.headers] == ["retry-after"]
    bench.admission.caller(request(key=bench.other))


def test_a_scope_is_needed_and_the_event() -> None:
    bench = Bench()
    assert bench.admission.caller_with(request(key=bench.other), "buy", "43").id == OTHER
    for scope, event_id in (("events", "43"), ("buy", "42"), ("admin", None)):
        with pytest.raises(Problem, match="forbidden"):
            bench.admission.caller_with(request(key=bench.other), scope, event_id)  # type: ignore[arg-type]


def test_onlookers_are_shed_before_buyers() -> None:
    waiting = Waiting(10, 10)
    bench = Bench(waiting=waiting)
    for number in range(10):
        if number < 5:
            with bench.admission.reads(request()):
                assert bench.admission.reading.count == 1
        else:
            with pytest.raises(Problem, match="overloaded"), bench.admission.reads(request()):
                pass
        bench.admission.takes_command_of(bench.known.find(SHOP), is_stuck=False)
        waiting.begin(SHOP)
    with pytest.raises(Problem, match="too-many-waiting"):
        bench.admission.takes_command_of(bench.known.find(SHOP), is_stuck=False)
    with pytest.raises(Problem, match="overloaded"):
        bench.admission.takes_command_of(bench.known.find(OTHER), is_stuck=False)


def test_one_address_leaves_room_for_others_to_read() -> None:
    reading = Waiting(3, 1)
    bench = Bench(reading=reading)
    with bench.admission.reads(request()):
        with pytest.raises(Problem, match="too-many-waiting"), bench.admission.reads(request()):
            pass
        with bench.admission.reads(request(address="192.0.2.2")):
            assert reading.count == 2
    assert reading.count == 0
    for address in ("a", "b", "c"):
        reading.begin(address)
    with pytest.raises(Problem, match="overloaded"), bench.admission.reads(request()):
        pass


def test_an_instance_that_ends_takes_no_command() -> None:
    bench = Bench()
    bench.admission.draining = True
    with pytest.raises(Problem, match="draining"):
        bench.admission.takes_command_of(bench.known.find(SHOP), is_stuck=False)
    bench.admission.draining = False
    with pytest.raises(Problem, match="overloaded"):
        bench.admission.takes_command_of(bench.known.find(SHOP), is_stuck=True)
