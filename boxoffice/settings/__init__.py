"""Every setting, in one place, in groups: a piece of the product takes the groups that it needs.

A setting's variable is its group's prefix and its name in capitals (``settings.redis.url`` is ``BOXOFFICE_REDIS_URL``),
or stands beside it where that would say too much. Its unit stands last in its name and again in its metadata, from
which ``boxoffice settings`` and ``docs/settings.md`` are made.
"""

from boxoffice.settings.fields import ENV_PREFIX
from boxoffice.settings.groups import (
    GROUPS,
    KEY_RING,
    ClockSettings,
    DocumentsSettings,
    DoorSettings,
    GatewaySettings,
    KafkaSettings,
    LiveSettings,
    ProcessSettings,
    RedisSettings,
    SellingSettings,
    Settings,
    StatisticsSettings,
    TracingSettings,
)
from boxoffice.settings.reading import SETTINGS, is_given, load_settings, misspelt, settings_from

__all__ = [
    "ENV_PREFIX",
    "GROUPS",
    "KEY_RING",
    "SETTINGS",
    "ClockSettings",
    "DocumentsSettings",
    "DoorSettings",
    "GatewaySettings",
    "KafkaSettings",
    "LiveSettings",
    "ProcessSettings",
    "RedisSettings",
    "SellingSettings",
    "Settings",
    "StatisticsSettings",
    "TracingSettings",
    "is_given",
    "load_settings",
    "misspelt",
    "settings_from",
]
