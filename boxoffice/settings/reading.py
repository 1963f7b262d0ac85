"""What is set: read from the environment, refused in a sentence, and looked up by its variable."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from boxoffice.errors import SettingsError
from boxoffice.settings.fields import ENV_PREFIX
from boxoffice.settings.groups import GROUPS, Settings
from boxoffice.showing.masking import masked
from boxoffice.showing.printing import printable

TEST_PREFIX: Final = "BOXOFFICE_TEST_"
"""Variables of the tests, which are no settings."""
_MOST_SHOWN: Final = 200
"""Characters of a value that cannot be used."""


class Setting(NamedTuple):
    """What can be set: where it stands in :class:`Settings`, its variable, and what is known of it."""

    group: str
    name: str
    variable: str
    field: FieldInfo

    @property
    def unit(self) -> str:
        """The unit of its value; empty where it has none."""
        return self._extra("unit")

    @property
    def default_text(self) -> str:
        """What its default is, in words, where that differs from user to user."""
        return self._extra("default_text")

    def _extra(self, name: str) -> str:
        extra = self.field.json_schema_extra
        return str(extra.get(name, "")) if isinstance(extra, dict) else ""

    def value(self, settings: Settings) -> object:
        """What it is in ``settings``."""
        return getattr(getattr(settings, self.group), self.name)


def _settings() -> Iterator[Setting]:
    for group, model in GROUPS.items():
        prefix = str(model.model_config.get("env_prefix", ""))
        for name, field in model.model_fields.items():
            yield Setting(group, name, str(field.validation_alias or prefix + name.upper()), field)


def _by_variable() -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for setting in _settings():
        found.setdefault(setting.variable, setting)
    return found


SETTINGS: Final[Mapping[str, Setting]] = _by_variable()
"""Every setting by its variable; Redis' key prefix has that of the topics."""
_NAMES: Final = [variable.removeprefix(ENV_PREFIX) for variable in SETTINGS]


def load_settings(**given: object) -> Settings:
    """The settings from the environment, and before it those ``given`` by their variables' names without the prefix.

    An empty variable means that nobody has set it; what is ``given`` is taken as it is.

    Raises:
        SettingsError: a value is not usable; the message names the variable, and shows a value that is no secret.
    """
    return settings_from({ENV_PREFIX + name.upper(): value for name, value in given.items()})


def settings_from(variables: Mapping[str, object]) -> Settings:
    """The settings of a process that has these variables too.

    Raises:
        SettingsError: a value is not usable; the message names the variable, and shows a value that is no secret.
    """
    given: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
    for setting in _settings():
        if setting.variable in variables:
            # By the alias where there is one: that is the name under which the environment is read, too.
            given[setting.group][str(setting.field.validation_alias or setting.name)] = variables[setting.variable]
    return Settings(**{group: _load(GROUPS[group], values) for group, values in given.items()})


def _load(model: type[BaseSettings], values: Mapping[str, Any]) -> Any:
    try:
        return model(**values)
    except ValidationError as error:
        raise SettingsError(_sentence(model, error)) from None


def _sentence(model: type[BaseSettings], error: ValidationError) -> str:
    first = error.errors()[0]
    name = "_".join(str(part) for part in first["loc"]).upper()
    variable = name if name.startswith(ENV_PREFIX) else f"{model.model_config.get('env_prefix')}{name}"
    reason = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if isinstance(SETTINGS[variable].field.default, SecretStr):
        return f"{variable} {reason}."
    return f'{variable} {reason}: it is "{printable(masked(first["input"]))[:_MOST_SHOWN]}".'


def is_given(variable: str) -> bool:
    """Whether somebody has set a variable; an empty one means that nobody has."""
    return bool(os.environ.get(variable))


def misspelt() -> Iterator[str]:
    """A sentence for each variable that somebody means as a setting, and that is none."""
    meant = (name for name in os.environ if name.startswith(ENV_PREFIX) and not name.startswith(TEST_PREFIX))
    for name in sorted(set(meant) - set(SETTINGS)):
        close = get_close_matches(name.removeprefix(ENV_PREFIX), _NAMES, n=1, cutoff=0.7)
        yield f"{name} is no setting and has no effect{f': is {ENV_PREFIX}{close[0]} meant?' if close else '.'}"
