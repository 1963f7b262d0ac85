"""``boxoffice redis-acls``: who may do what in Redis, as lines of its ACL file."""

from __future__ import annotations

from boxoffice.cli.options import AsJson
from boxoffice.cli.tables import print_json, say


def redis_acls(as_json: AsJson = False) -> None:
    """Print the lines of Redis' ACL file: what each process and operators may do.

    Every process has a user of its own name, which is off until somebody
    writes 'on >PASSWORD' in the place of 'off'. What docs/security.md has
    as a table is said here for BOXOFFICE_TOPIC_PREFIX.
    """
    from boxoffice.redis.access import ACCESS, commands, patterns, user_lines
    from boxoffice.settings import load_settings

    prefix = load_settings().redis.key_prefix
    if as_json:
        print_json(
            [{"user": access.user, "commands": commands(access), "keys": patterns(access, prefix)} for access in ACCESS]
        )
        return
    for line in user_lines(prefix):
        say(line)


COMMANDS = (redis_acls,)
