"""What is remembered of an accepted request is small, and loses nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from models.accepted import Accepted, Kind, State, pack, pack_purchase, unpack

U64 = st.integers(0, 2**64 - 1)
REQUEST_ID = st.text("abcXYZ019._:-", min_size=1, max_size=64)
SOURCE = st.none() | st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1))
RUN = st.builds(lambda first, length: (first, first + length - 1), st.integers(1, 2**62), st.integers(1, 100))


NOTHING: dict[str, st.SearchStrategy[Any]] = {
    name: st.just(Accepted._field_defaults[name]) for name in Accepted._field_defaults if name != "source"
}
RUNS = st.lists(RUN, min_size=1, max_size=100).map(tuple)
BUYER = st.text(min_size=1, max_size=128)
ACTOR = st.just("") | st.text(min_size=1, max_size=128)
LINES = st.lists(
    st.tuples(st.integers(0, 49), st.integers(1, 100), st.integers(0, 10**12)), min_size=1, max_size=50
).map(tuple)


def accepted(kind: Kind, **members: st.SearchStrategy[Any]) -> st.SearchStrategy[Accepted]:
    return st.builds(Accepted, st.just(kind), U64, U64, U64, SOURCE, **(NOTHING | members))


ANY = st.one_of(
    accepted(Kind.CREATION),
    accepted(Kind.PURCHASE, runs=RUNS, buyer=BUYER),
    accepted(Kind.PURCHASE, runs=RUNS, buyer=BUYER, state=st.just(State.CANCELLED), by=REQUEST_ID),
    accepted(
        Kind.PURCHASE,
        runs=RUNS,
        buyer=BUYER,
        state=st.sampled_from(State),
        lines=LINES,
        due_ms=U64,
        by=st.just("") | REQUEST_ID,
        payment=st.just("") | REQUEST_ID,
        actor=ACTOR,
    ),
    *(
        accepted(
            kind,
            purchase=REQUEST_ID,
            runs=RUNS,
            remaining=st.just(()) | RUNS,
            flag=st.booleans(),
            actor=ACTOR,
        )
        for kind in (Kind.CANCELLATION, Kind.CONFIRMATION, Kind.EXPIRY)
    ),
    accepted(Kind.FACT, fact=st.binary(min_size=1, max_size=300)),
)


@given(ANY)
def test_an_accepted_request_survives_being_packed(request: Accepted) -> None:
    assert unpack(pack(request)) == request


@given(U64, U64, U64, SOURCE, st.lists(RUN, min_size=1, max_size=3).map(tuple), st.text(min_size=1, max_size=128))
def test_a_purchase_is_packed_alike_without_the_tuple(
    seq: int, offset: int, at_ms: int, source: tuple[int, int] | None, runs: tuple[tuple[int, int], ...], buyer: str
) -> None:
    packed = pack(Accepted(Kind.PURCHASE, seq, offset, at_ms, source, runs, buyer))
    assert pack_purchase(seq, offset, at_ms, source, runs, buyer) == packed


def test_the_largest_purchase_survives_being_packed() -> None:
    """A hundred tickets from a hundred places, for the longest names there are."""
    scattered = tuple((number, number) for number in range(2**63, 2**63 + 200, 2))
    largest = Accepted(
        Kind.PURCHASE,
        2**64 - 1,
        2**64 - 1,
        2**64 - 1,
        (2**32 - 1, 2**64 - 1),
        scattered,
        "😀" * 128,
        "x" * 64,
        State.CANCELLED,
    )
    assert unpack(pack(largest)) == largest


def test_of_a_usual_purchase_nothing_is_packed_that_the_event_says() -> None:
    """Its lines and its price: so it takes what it took by the rules before, byte for byte."""
    usual = Accepted(Kind.PURCHASE, 1, 2, 3, None, ((5, 6),), "b-1")
    assert pack(usual).hex() == "02" + "010000000000000002000000000000000300000000000000" + (
        "0105000000000000000200622d31"
    )
    cancelled = usual._replace(state=State.CANCELLED, by="x-1")
    assert pack(cancelled) == pack(usual)[:-4] + b"\x03x-1b-1"


def test_a_usual_purchase_takes_less_than_64_bytes() -> None:
    """A hundred thousand of these are held for one event."""
    usual = Accepted(Kind.PURCHASE, 12_345, 54_321, 1_795_341_600_123, None, ((1_000, 1_001),), "buyer-77")
    assert len(pack(usual)) < 64
