"""Names for pods: a name server that knows the cluster's headless services, as CoreDNS would."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

PORT: Final = 53
_MOST_BYTES: Final = 4096
_HEADER: Final = struct.Struct("!6H")
_QUESTION: Final = struct.Struct("!2H")
_ANSWER: Final = struct.Struct("!3HIH4s")
_A: Final = 1
_INTERNET: Final = 1
_SECONDS: Final = 1
_RESPONSE, _AUTHORITATIVE = 0x8000, 0x0400
_NO_SUCH_NAME: Final = 3
_POINTER_TO_QUESTION: Final = 0xC000 + _HEADER.size
_LOOK_S: Final = 0.5

Addresses = Mapping[str, Sequence[str]]
"""The addresses behind each name."""


def answer(query: bytes, addresses: Addresses) -> bytes:
    """What a name server says to one question."""
    number, flags, *_ = _HEADER.unpack_from(query)
    labels, at = [], _HEADER.size
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode("ascii", "replace"))
        at += 1 + length
    asked, _ = _QUESTION.unpack_from(query, at + 1)
    found = addresses.get(".".join(labels).lower())
    records = [
        _ANSWER.pack(_POINTER_TO_QUESTION, _A, _INTERNET, _SECONDS, 4, socket.inet_aton(address))
        for address in (found or () if asked == _A else ())
    ]
    told = _RESPONSE | _AUTHORITATIVE | (flags & 0x7900) | (0 if found is not None else _NO_SUCH_NAME)
    header = _HEADER.pack(number, told, 1, len(records), 0, 0)
    return header + query[_HEADER.size : at + 1 + _QUESTION.size] + b"".join(records)


@contextmanager
def serving_names(host: str, look: Callable[[], Addresses]) -> Iterator[None]:
    """Answer on that address, and look again and again which names there are."""
    ended = Event()
    known: list[Addresses] = [{}]

    def keep_looking() -> None:
        while not ended.wait(_LOOK_S):
            known[0] = look()

    def serve(listening: socket.socket) -> None:
        while not ended.is_set():
            try:
                query, caller = listening.recvfrom(_MOST_BYTES)
                listening.sendto(answer(query, known[0]), caller)
            except (TimeoutError, IndexError, struct.error, OSError):
                continue  # nobody asked, or nothing that can be read

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind((host, PORT))
        listening.settimeout(_LOOK_S)
        threads = [Thread(target=keep_looking, daemon=True), Thread(target=serve, args=(listening,), daemon=True)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join()
