"""What can go wrong with the store."""

from __future__ import annotations

from boxoffice.errors import BoxOfficeError, ExitStatus


class StoreError(BoxOfficeError):
    """The document store cannot be read."""

    exit_status = ExitStatus.UNREACHABLE
    remedy = "See that the store of `BOXOFFICE_DOCUMENTS_URL` is there and may be read."


class NoStoreError(StoreError):
    """There is no document store where one was looked for."""

    remedy = "Set `BOXOFFICE_DOCUMENTS_URL` as it is where documents are made, on the same machine if it is a folder."

    def __init__(self, location: str) -> None:
        super().__init__(
            f"There is no document store {location}: no documents process has made one there, or "
            "BOXOFFICE_DOCUMENTS_URL names another place here than where documents are made."
        )
