"""What a record's value holds where it should hold a command: the object in it, and in words what is wrong around that.

A Kafka UI shows what a schema registry's serializer has framed, or what begins with a byte order mark, as perfect JSON.
So the words name what cannot be seen. They quote nothing, since they go into the ledger, which is kept for ever.
"""

from __future__ import annotations

import codecs
import re
from base64 import b64decode
from typing import Any, Final, NamedTuple

from pydantic_core import from_json

Members = dict[str, Any]

MAX_CLAIMED_BYTES: Final = 64 * 1024
"""Nobody looks for ids in a larger value."""


class Value(NamedTuple):
    """``members`` of the object that a value holds, if one can be seen; ``fault`` says why it is no command."""

    members: Members | None
    fault: str | None


def look_at(value: bytes) -> Value:
    """What a value holds, as far as it can be seen."""
    try:
        found = from_json(value)
    except ValueError as error:
        return _no_json(value, str(error))
    return _in_envelope(found) if isinstance(found, dict) else _no_object(found)


def _no_json(value: bytes, error: str) -> Value:
    wrapped = _wrapped(value)
    if wrapped is None:
        return Value(_ids_in_text(value), f"no JSON: {_why_no_json(value) or error}")
    inside = _object_in(wrapped.inside)
    return Value(_ids_in_text(wrapped.inside) if inside is None else inside, f"no JSON: {wrapped.how}")


def claimed_ids(value: bytes | None) -> dict[str, str]:
    """The ``event_id`` and the ``request_id`` that a value claims, as text, where they can be read at all.

    They may be no ids by the rules: whoever sent them knows them, and nobody else should rely on them.
    """
    if not value or len(value) > MAX_CLAIMED_BYTES:
        return {}
    members = look_at(value).members or {}
    claims = ((name, _claim(members.get(name))) for name in ("event_id", "request_id"))
    return {name: claim for name, claim in claims if claim is not None}


_CLAIM: Final = re.compile("[ -~]{1,128}")
_MAX_CLAIMED_NUMBER: Final = 2**63 - 1
_ID_IN_TEXT: Final = re.compile(
    r'"(event_id|request_id)"[ \t\r\n]*:[ \t\r\n]*(?:"([^"\\]{1,128})"|(-?[0-9]{1,18})(?=[ \t\r\n]*[,}]))'
)


def _ids_in_text(value: bytes) -> Members:
    """The ids in JSON that is broken somewhere else."""
    return {match[1]: match[2] or match[3] for match in _ID_IN_TEXT.finditer(value.decode(errors="replace"))}


def _claim(found: Any) -> str | None:
    """An id as it is repeated: printable, bounded, and of fixed code points."""
    if isinstance(found, int) and not isinstance(found, bool) and abs(found) <= _MAX_CLAIMED_NUMBER:
        return str(found)
    return found if isinstance(found, str) and _CLAIM.fullmatch(found) else None


def _object_in(text: bytes | str) -> Members | None:
    try:
        found = from_json(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


# Bytes around JSON, or other bytes


class _Wrapped(NamedTuple):
    """``inside`` is what looks like JSON, as UTF-8; where nothing does, the value, in which ids may stand."""

    how: str
    inside: bytes


_MARKS: Final = (
    # That of UTF-32 begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BEGINNINGS: Final = rb'[ \t\r\n{\["]'
_WIDE: Final = (
    (re.compile(rb"\0\0\0" + _BEGINNINGS + rb"\0\0\0[^\0]"), "utf-32-be"),
    (re.compile(_BEGINNINGS + rb"\0\0\0[^\0]\0\0\0"), "utf-32-le"),
    (re.compile(rb"\0" + _BEGINNINGS + rb"\0[^\0]"), "utf-16-be"),
    (re.compile(_BEGINNINGS + rb"\0[^\0]\0"), "utf-16-le"),
)
_SCHEMA_ID: Final = rb"\0[\0-\xff]{4}"
_OLD_SCHEMA_ID: Final = rb"\0[\0-\xff]{8}"
_GLUE_ID: Final = rb"\x03[\0\x05][\0-\xff]{16}"
_OBJECT: Final = rb"(?=[ \t\r\n]*\{)"
_FRAMES: Final = (
    (re.compile(_SCHEMA_ID + _OBJECT), "a zero byte and a schema's id", "JSON"),
    (re.compile(_OLD_SCHEMA_ID + _OBJECT), "a zero byte and a schema's id", "JSON"),
    (re.compile(_GLUE_ID + _OBJECT), "AWS Glue's byte and a schema's id", "JSON"),
    (re.compile(_SCHEMA_ID), "a zero byte and a schema's id", "what looks like Avro or Protobuf"),
    (re.compile(_GLUE_ID), "AWS Glue's byte and a schema's id", "what looks like Avro or Protobuf"),
)
_FORMATS: Final = (
    (b"Obj\x01", "an Avro file"),
    (b"\xc3\x01", "Avro"),
    (b"\xac\xed\x00\x05", "Java's serialization"),
    (b"\x1f\x8b", "packed by gzip: leave packing to the producer's own compression"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd: leave packing to the producer's own compression"),
    (b"\x04\x22\x4d\x18", "packed by lz4: leave packing to the producer's own compression"),
    (b"\x82SNAPPY\x00", "packed by snappy: leave packing to the producer's own compression"),
    (b"<", "XML or HTML"),
)


def _wrapped(value: bytes) -> _Wrapped | None:
    """What stands around JSON, or is there in its place, if its first bytes tell."""
    if value.startswith(codecs.BOM_UTF8):
        inside = value.removeprefix(codecs.BOM_UTF8)
        return _Wrapped("it begins with a byte order mark, which cannot be seen: send UTF-8 without", inside)
    for mark, codec in _MARKS:
        if value.startswith(mark):
            return _wide(value.removeprefix(mark), codec)
    for pattern, codec in _WIDE:
        if pattern.match(value):
            return _wide(value, codec)
    for frame, beginning, content in _FRAMES:
        if (match := frame.match(value)) is not None:
            how = (
                f"it begins with {beginning}, a schema registry's frame that cannot be seen, before {content}: "
                "send plain JSON"
            )
            return _Wrapped(how, value[match.end() :])
    name = next((name for begin, name in _FORMATS if value.startswith(begin)), None)
    return None if name is None else _Wrapped(f"it is {name}", value)


def _wide(text: bytes, codec: str) -> _Wrapped:
    name = codec.upper().removesuffix("-LE").removesuffix("-BE")
    return _Wrapped(f"it is {name}: send UTF-8", text.decode(codec, "replace").encode())


# Broken JSON

_UNSEEN: Final = re.compile(
    "[\\0-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\xa0\\xad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)


def unseen_in(text: str) -> str | None:
    """The first character of a text that nobody sees, in words; None if there is none. Fixed code points again."""
    match = _UNSEEN.search(text)
    return None if match is None else f"U+{ord(match[0]):04X}, which cannot be seen"


def _why_no_json(value: bytes) -> str | None:
    """Why it is none, where the parser's words would not show it."""
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        return f"byte {error.start + 1} is no UTF-8"
    if not text.strip():
        return "there is nothing but white space"
    unseen = unseen_in(_STRING.sub("", text))
    return None if unseen is None else f"it has {unseen}"


# JSON around the object, or in its place


def _no_object(found: Any) -> Value:
    match found:
        case str():
            inside = _object_in(found)
            if inside is not None:
                return Value(inside, "no JSON object: it is a string that holds one, so it was encoded twice")
            inside = _object_in(_from_base64(found))
            return Value(inside, f"no JSON object: it is a string{' with one in base64' if inside is not None else ''}")
        case list():
            alone = found[0] if len(found) == 1 and isinstance(found[0], dict) else None
            return Value(alone, "no JSON object: it is an array; send each command in a record of its own")
        case None | bool():
            return Value(None, f"no JSON object: it is {'null' if found is None else str(found).lower()}")
    return Value(None, "no JSON object: it is a number")


def _from_base64(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""


def _in_envelope(members: Members) -> Value:
    """An object, or the one that another holds: no command has such members."""
    if isinstance(members.get("specversion"), str) and ("data" in members or "data_base64" in members):
        how = "it is a CloudEvent in structured mode: send its data as the value, and its attributes as headers"
        return Value(_inner(members.get("data")) or members, how)
    if members.keys() == {"schema", "payload"}:
        how = "it holds a schema beside its payload, as Kafka Connect writes it: send the payload alone"
        return Value(_inner(members["payload"]) or members, how)
    return Value(members, None)


def _inner(found: Any) -> Members | None:
    return found if isinstance(found, dict) else None
