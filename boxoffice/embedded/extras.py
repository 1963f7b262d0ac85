"""The packages of the extra ``embedded``, imported when they are needed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from boxoffice.embedded.errors import EmbeddedExtraError

if TYPE_CHECKING:
    from types import ModuleType


def extra_module(name: str) -> ModuleType:
    """The module, or the sentence that says how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as missing:
        raise EmbeddedExtraError(name.partition(".")[0]) from missing
