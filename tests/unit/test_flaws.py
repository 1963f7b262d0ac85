"""Tickets with flaws are counted by what is announced of them last."""

from __future__ import annotations

import pytest

from boxoffice.documents.flaws import Flaws
from models.documents import DocumentAnnouncement, made, removed, write_announcement
from tests.unit.test_documents import cancellation, sale

FLAW = "name: no font has U+A000, a box stands instead"


def drawn(seq: int, *flaws: str, ticket: str = "42-000001") -> DocumentAnnouncement:
    return made(sale(seq=seq), ticket, "file:///tickets/x.pdf", 7, "0" * 64, flaws)


def gone(seq: int) -> DocumentAnnouncement:
    return removed(cancellation(sale(), seq), "42-000001", "file:///tickets/x.pdf")


def tickets(*announcements: DocumentAnnouncement) -> list[str]:
    found = Flaws()
    for one in announcements:
        found.read(one["event_id"].encode(), write_announcement(one))
    return [one.ticket for one in found.flawed]


@pytest.mark.parametrize(
    ("announcements", "flawed"),
    [
        ([drawn(2)], []),
        ([drawn(2, FLAW)], ["42-000001"]),
        ([drawn(2, FLAW), drawn(2, FLAW)], ["42-000001"]),
        ([drawn(2, FLAW), drawn(2, FLAW, ticket="42-000002")], ["42-000001", "42-000002"]),
        ([drawn(2, FLAW), drawn(2)], []),
        ([drawn(2, FLAW), gone(3)], []),
        ([drawn(2, FLAW), gone(3), drawn(2, FLAW)], []),
        ([drawn(2, FLAW), gone(3), drawn(4)], []),
        ([drawn(2), gone(3), drawn(4, FLAW)], ["42-000001"]),
    ],
    ids=["none", "one", "again", "two", "made again with fonts", "removed", "late", "sold again", "the next has some"],
)
def test_what_is_said_last_of_a_ticket_counts(announcements: list[DocumentAnnouncement], flawed: list[str]) -> None:
    assert tickets(*announcements) == flawed


@pytest.mark.parametrize("value", [None, b"", b'{"flaws": 1}', b'"flaws" garbage', b"\xff"])
def test_what_is_no_announcement_is_passed_over(value: bytes | None) -> None:
    found = Flaws()
    found.read(b"42", value)
    found.read(None, value)
    assert found.flawed == []


def test_an_announcement_without_flaws_is_what_older_readers_know() -> None:
    assert "flaws" not in drawn(2)
    assert drawn(2, FLAW).items() > drawn(2).items()
