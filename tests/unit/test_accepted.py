"""What is remembered of an accepted request is small, and loses nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from models.accepted import Accepted, Kind, pack, pack_purchase, unpack

U64 = st.integers(0, 2**64 - 1)
REQUEST_ID = st.text("abcXYZ019._:-", min_size=1, max_size=64)
SOURCE = st.none() | st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1))
RUN = st.builds(lambda first, length: (first, first + length - 1), st.integers(1, 2**62), st.integers(1, 100))


NOTHING: dict[str, st.SearchStrategy[Any]] = {
    "runs": st.just(()),
    "buyer": st.just(""),
    "cancelled_by": st.just(""),
    "purchase": st.just(""),
    "count": st.just(0),
}


def accepted(kind: Kind, **members: st.SearchStrategy[Any]) -> st.SearchStrategy[Accepted]:
    return st.builds(Accepted, st.just(kind), U64, U64, U64, SOURCE, **(NOTHING | members))


ANY = st.one_of(
    accepted(Kind.CREATION),
    accepted(
        Kind.PURCHASE,
        runs=st.lists(RUN, min_size=1, max_size=100).map(tuple),
        buyer=st.text(min_size=1, max_size=128),
        cancelled_by=st.just("") | REQUEST_ID,
    ),
    accepted(Kind.CANCELLATION, purchase=REQUEST_ID),
    accepted(Kind.ADDITION, count=st.integers(1, 1_000_000)),
    accepted(Kind.CLOSING),
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
    )
    assert unpack(pack(largest)) == largest


def test_a_usual_purchase_takes_less_than_64_bytes() -> None:
    """A hundred thousand of these are held for one event."""
    usual = Accepted(Kind.PURCHASE, 12_345, 54_321, 1_795_341_600_123, None, ((1_000, 1_001),), "buyer-77")
    assert len(pack(usual)) < 64
