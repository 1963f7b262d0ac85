"""How a setting is described, and what all groups of settings have in common."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

ENV_PREFIX = "BOXOFFICE_"


def setting(
    default: Any, meaning: str, *, unit: str = "", variable: str = "", default_text: str = "", **bounds: Any
) -> Any:
    """A field; ``variable``, without ``BOXOFFICE_``, is its own name where the group's prefix does not make it.

    ``default_text`` says in words what a default is that differs from user to user.
    """
    alias = ENV_PREFIX + variable if variable else None
    extra: dict[str, Any] = {"unit": unit, "default_text": default_text}
    return Field(default=default, description=meaning, validation_alias=alias, json_schema_extra=extra, **bounds)


class Group(BaseSettings):
    """Settings of one kind, by the prefix of their variables."""

    model_config = SettingsConfigDict(
        extra="ignore",
        hide_input_in_errors=True,
        populate_by_name=True,
        # As Compose passes on what nobody has set.
        env_ignore_empty=True,
    )
