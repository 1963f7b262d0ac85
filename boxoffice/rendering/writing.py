"""Numbers and texts as PDF writes them."""

from __future__ import annotations


def number(value: float) -> str:
    """A number, to a hundredth of a point."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def utf16(text: str) -> str:
    """A text in hexadecimal digits."""
    return text.encode("utf-16-be").hex().upper()


def text_string(text: str) -> str:
    """A text as PDF's dictionaries hold it."""
    return f"<FEFF{utf16(text)}>"
