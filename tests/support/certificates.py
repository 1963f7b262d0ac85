"""A certificate for the tests' own servers, of an authority that nobody knows."""

from __future__ import annotations

from pathlib import Path

from boxoffice.embedded.authority import Authority


def write_certificate(path: Path) -> Path:
    """A key, its certificate and the authority's in one PEM file, which is also the authority to trust."""
    authority = Authority(path.parent / "authority")
    authority.prepare()
    path.write_bytes(authority.store(path.stem).read_bytes() + authority.certificate.read_bytes())
    return path
