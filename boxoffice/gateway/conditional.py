"""Conditional requests (RFC 9110, section 13): who has the newest already is told so, and sent nothing."""

from __future__ import annotations

import re
from typing import Final

from boxoffice.gateway.messages import Headers, Response

READS: Final = ("GET", "HEAD")

_ENTITY_TAG: Final = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_MOST_CHARACTERS: Final = 4_096


def is_current(if_none_match: str | None, etag: str) -> bool:
    """Whether a caller says that he has this one already. A weak tag will do, since nothing is put together here."""
    if if_none_match is None or len(if_none_match) > _MOST_CHARACTERS:
        return False
    return if_none_match.strip() == "*" or etag in _ENTITY_TAG.findall(if_none_match)


def answer(if_none_match: str | None, etag: str, headers: Headers, body: bytes) -> Response:
    """The body with its entity tag, or word that it has not changed."""
    tagged = [*headers, ("etag", etag)]
    if is_current(if_none_match, etag):
        return Response(304, [(name, value) for name, value in tagged if name != "content-type"])
    return Response(200, tagged, body)
