"""What ``boxoffice up --secure`` adds: whom the servers let in, what each may do, and what people are told."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from boxoffice.embedded.folders import write_for_owner
from boxoffice.embedded.stack import Secured
from boxoffice.embedded.users import ADMIN, Users
from boxoffice.kafka.access import BY_USER, acls, set_acls
from boxoffice.redis.access import BY_USER as BY_REDIS_USER
from boxoffice.redis.access import admin_line, user_lines
from boxoffice.settings import KafkaSettings, load_settings

OPERATOR: Final = "operator"
"""The user as whom commands are run."""
LOGIN: Final = "operator.env"
"""The file that says so to a shell: a password is neither printed nor kept in a history."""


def secured() -> Secured:
    """Everybody of the tables, and what Redis lets them do."""
    prefix = load_settings().redis.key_prefix
    return Secured(tuple(BY_USER), lambda users: redis_lines(users, prefix))


def redis_lines(users: Users, prefix: str) -> Sequence[str]:
    """The lines of an ACL file, with everybody's password, and an administrator."""
    passwords = {name: users.password(name) for name in BY_REDIS_USER}
    return [*user_lines(prefix, passwords), admin_line(ADMIN, users.password(ADMIN))]


async def allow_all(settings: KafkaSettings) -> None:
    """Give everybody of the table what he may do on Kafka, as its administrator.

    Raises:
        UnreachableError: no broker answered.
        AclsError: the broker refused.
    """
    await set_acls(settings, acls(settings))


def write_login(path: Path, variables: Iterable[tuple[str, str]]) -> str:
    """Write what lets a shell of this user run commands; returns what is typed there."""
    lines = (f"export {variable}={shlex.quote(value)}\n" for variable, value in variables)
    write_for_owner(path, "".join(lines).encode())
    return f". {shlex.quote(str(path))}"
