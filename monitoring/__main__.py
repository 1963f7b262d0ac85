"""Write what is checked in of this: ``python -m monitoring``."""

from __future__ import annotations

from monitoring.files import write

if __name__ == "__main__":
    write()
