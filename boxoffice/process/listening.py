"""Where a process serves its health and metrics: said in a sentence where nothing can listen there."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from boxoffice.errors import SettingsError
from boxoffice.settings import ProcessSettings


class PortInUseError(Exception):
    """Somebody else listens on the port of the settings: a free one will do."""


@contextmanager
def listening(settings: ProcessSettings, port: int) -> Iterator[None]:
    """For whoever begins to listen on this port, of the host of the settings.

    Raises:
        PortInUseError: somebody else listens there; any port but that one may be free.
        SettingsError: nothing can listen there.
    """
    try:
        yield
    except (OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE and port:
            raise PortInUseError from None
        raise SettingsError(
            f"BOXOFFICE_HEALTH_HOST and BOXOFFICE_HEALTH_PORT name {settings.health_host}:{port}, "
            f"where nothing can listen ({why(error)})."
        ) from None


def why(error: OSError | UnicodeError) -> str:
    """Why nothing can listen there, in a few words."""
    if isinstance(error, UnicodeError):
        return "this is no host's name"
    # What a resolver says has a number below 0.
    number = error.errno or 0
    return os.strerror(number) if number > 0 else str(error.strerror)
