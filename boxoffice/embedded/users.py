"""Who is let in by secured servers: a name and a password for each, and the authority that signs the servers."""

from __future__ import annotations

import json
import secrets
import shutil
import ssl
from typing import TYPE_CHECKING, Any, Final

from boxoffice.embedded.authority import Authority
from boxoffice.embedded.folders import make_private, write_for_owner

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ADMIN: Final = "admin"
"""Who may do everything."""
MECHANISM: Final = "SCRAM-SHA-512"
_FILE: Final = "passwords.json"
_PASSWORD_BYTES: Final = 24


class Users:
    """Users by their names, and an administrator; passwords are made once for a folder, certificates at each start."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self._folder = folder
        self.names: Final = (ADMIN, *names)
        self.authority: Final = Authority(folder)
        self._passwords: dict[str, str] = {}

    def prepare(self) -> None:
        """Make what is not there yet, and new certificates."""
        make_private(self._folder)
        self.authority.prepare()
        kept = self._folder / _FILE
        known: dict[str, str] = json.loads(kept.read_text()) if kept.exists() else {}
        self._passwords = {name: known.get(name) or _new_password() for name in self.names}
        write_for_owner(kept, json.dumps(self._passwords).encode())

    def forget(self) -> None:
        """Remove everything."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def password(self, name: str) -> str:
        """A user's password: letters, digits, ``-`` and ``_``, so that it needs no quoting anywhere."""
        return self._passwords[name]

    def scram(self) -> tuple[str, ...]:
        """Arguments with which Kafka's storage is formatted, so that it knows all from the first moment."""
        return tuple(
            word
            for name, password in self._passwords.items()
            for word in ("--add-scram", f"{MECHANISM}=[name={name},password={password}]")
        )

    def client(self, name: str) -> dict[str, Any]:
        """Options with which a client of aiokafka is let in."""
        return {
            "security_protocol": "SASL_SSL",
            "ssl_context": ssl.create_default_context(cafile=self.authority.certificate),
            "sasl_mechanism": MECHANISM,
            "sasl_plain_username": name,
            "sasl_plain_password": self.password(name),
        }


def _new_password() -> str:
    return secrets.token_urlsafe(_PASSWORD_BYTES)
