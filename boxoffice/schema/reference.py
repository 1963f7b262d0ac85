"""The documents' pages of all settings and of all errors, out of the definitions."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages
from typing import Final

import boxoffice
from boxoffice.errors import RESTARTABLE, BoxOfficeError, ExitStatus
from boxoffice.settings import GROUPS, SETTINGS
from boxoffice.showing.masking import masked

_SETTINGS_PAGE: Final = """# Settings

All settings are environment variables. `boxoffice settings` shows those that are in force, secrets masked; this page is
made from the same definitions, by `boxoffice schema --write docs`.

An empty variable (`BOXOFFICE_PARTITIONS=`) means that nobody has set it. A variable that begins like a setting and is
none is named by every command on standard error, and by a process in its log. A value that cannot be used is named and,
unless it is a secret, shown. In the password of a URL, `@ : / ? # %` are written as `%40 %3A %2F %3F %23 %25`.
"""

_ERRORS_PAGE: Final = """# Errors

Whatever goes wrong, the command line prints one sentence on standard error and ends with one of these statuses.
Processes log the sentence and end likewise. This page is made from the classes, by `boxoffice schema --write docs`.

## Exit statuses

`boxoffice up`, or any supervisor, starts a process again after a status of which the last column says so.

| status | name | meaning | start it again |
|---:|---|---|---|
"""

_OF_AN_EXTRA: Final = f"{boxoffice.__name__}.tracing."
"""Modules that import what need not be installed; they define no errors that anybody meets."""

_ERRORS: Final = """
## Errors

| error | status | what happened | what to do | defined in |
|---|---:|---|---|---|
"""


def settings_page() -> str:
    """``docs/settings.md``: every setting, by group."""
    page = [_SETTINGS_PAGE]
    for group, model in GROUPS.items():
        page.append(f"\n## {group.capitalize()}\n\n{inspect.getdoc(model)}\n")
        page.append("\n| variable | default | unit | meaning |\n|---|---|---|---|\n")
        for variable, setting in SETTINGS.items():
            if setting.group == group:
                default = masked(setting.field.default)
                shown = setting.default_text or (f"`{default}`" if default else "")
                page.append(f"| `{variable}` | {shown} | {setting.unit} | {setting.field.description} |\n")
    return "".join(page)


def errors_page() -> str:
    """``docs/errors.md``: every exit status, and every error that a person may meet."""
    page = [_ERRORS_PAGE]
    for status in ExitStatus:
        again = "yes" if status in RESTARTABLE else ""
        page.append(f"| {status.value} | {status.name.lower()} | {status.meaning} | {again} |\n")
    page.append(_ERRORS)
    for error in sorted(errors(), key=lambda one: (one.exit_status, one.__name__, one.__module__)):
        file = error.__module__.replace(".", "/") + ".py"
        what = (inspect.getdoc(error) or "").partition("\n\n")[0].replace("\n", " ").replace("``", "`")
        page.append(f"| {error.__name__} | {error.exit_status.value} | {what} | {error.remedy} | `{file}` |\n")
    return "".join(page)


def errors() -> list[type[BoxOfficeError]]:
    """Every class of errors, wherever it is defined."""
    for module in walk_packages(boxoffice.__path__, f"{boxoffice.__name__}."):
        if not module.name.endswith("__main__") and not module.name.startswith(_OF_AN_EXTRA):
            import_module(module.name)
    return [error for error in _below(BoxOfficeError) if error.__module__.startswith(f"{boxoffice.__name__}.")]


def _below(error: type[BoxOfficeError]) -> Iterator[type[BoxOfficeError]]:
    for below in error.__subclasses__():
        yield below
        yield from _below(below)
