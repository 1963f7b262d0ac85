"""What a command shows that cannot be read: the ids that the fact about it repeats."""

from __future__ import annotations

import re
from base64 import b64decode
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tests.support.checker.reading import KIB, UnreadableError, json_in

if TYPE_CHECKING:
    from tests.support.checker.records import Members

MAX_SHOWN_BYTES = 64 * KIB


def claimed(value: bytes | None) -> Members:
    """The ids that stand in a command that cannot be read, as the fact about it repeats them."""
    if not value or len(value) > MAX_SHOWN_BYTES:
        return {}
    shown = _shown(value)
    claims = {}
    for name in ("event_id", "request_id"):
        member = shown.get(name)
        if type(member) is int and abs(member) < 2**63:
            member = str(member)
        if isinstance(member, str) and 1 <= len(member) <= 128 and all(" " <= one <= "~" for one in member):
            claims[f"claimed_{name}"] = member
    return claims


def _shown(value: bytes) -> Members:
    """The object in a value: framed, in another encoding, encoded twice, alone in an array, or in an envelope.

    Of what is broken, the ids that stand in its text.
    """
    text = _unwrapped(value)
    try:
        found = json_in(text)
    except UnreadableError:
        return _ids_in(text)
    if text != value or value[:1] == b"\0":
        return found if isinstance(found, dict) else _ids_in(text)
    if isinstance(found, str):
        with suppress(ValueError):
            found = _parsed(found.encode()) or _parsed(b64decode(found, validate=True))
    elif isinstance(found, list) and len(found) == 1:
        found = found[0]
    elif isinstance(found, dict):
        is_cloud_event = isinstance(found.get("specversion"), str) and {"data", "data_base64"} & found.keys()
        for name, stands in (("data", is_cloud_event), ("payload", found.keys() == {"schema", "payload"})):
            if stands and isinstance(found.get(name), dict) and found[name]:
                found = found[name]
    return found if isinstance(found, dict) else {}


def _ids_in(text: bytes) -> Members:
    space = r"[ \t\r\n]*"
    pattern = rf'"(event_id|request_id)"{space}:{space}(?:"([^"\\]{{1,128}})"|(-?[0-9]{{1,18}})(?={space}[,}}]))'
    found = re.findall(pattern, text.decode(errors="replace"))
    return {name: string or number for name, string, number in found}


def _unwrapped(value: bytes) -> bytes:
    for mark, codec in (
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe\0\0", "utf-32-le"),
        (b"\0\0\xfe\xff", "utf-32-be"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
    ):
        if value.startswith(mark):
            return value[len(mark) :].decode(codec, "replace").encode()
    for shape, codec in (
        (rb"\0\0\0[^\0]\0\0\0[^\0]", "utf-32-be"),
        (rb"[^\0]\0\0\0[^\0]\0\0\0", "utf-32-le"),
        (rb"\0[^\0]\0[^\0]", "utf-16-be"),
        (rb"[^\0]\0[^\0]\0", "utf-16-le"),
    ):
        if re.match(shape, value, re.DOTALL) and value.strip(b"\0")[:1] in b' \t\r\n{["':
            return value.decode(codec, "replace").encode()
    for frame in (5, 9) if value[:1] == b"\0" else (18,) if value[:2] in (b"\3\0", b"\3\5") else ():
        if value[frame:].lstrip(b" \t\r\n")[:1] == b"{":
            return value[frame:]
    return value


def _parsed(value: bytes) -> Any:
    try:
        return json_in(value)
    except UnreadableError:
        return None
