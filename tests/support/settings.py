"""Settings that differ in some from others."""

from __future__ import annotations

from boxoffice.settings import ENV_PREFIX, SETTINGS, Settings, settings_from


def changed(settings: Settings, **given: object) -> Settings:
    """The settings with some others, which are named by their variables without the prefix, in lower case."""
    variables = {variable: setting.value(settings) for variable, setting in SETTINGS.items()}
    return settings_from({**variables, **{ENV_PREFIX + name.upper(): value for name, value in given.items()}})
