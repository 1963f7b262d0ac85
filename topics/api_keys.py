"""``api-keys``: the callers of the front door, each under its id; a tombstone revokes one."""

from topics.definition import TopicDefinition

TOPIC = TopicDefinition(
    name="api-keys",
    holds="the callers of the front door, with the SHA-256 of their keys, and the secrets of their orders' links",
    key="the caller's id, UTF-8",
    value="JSON, models/api_keys.py",
    config={"cleanup.policy": "compact"},
)
