"""Documents: a PDF for each ticket that was sold, drawn beside the sale and never in its way."""

from typing import Final

GROUP: Final = "boxoffice-documents"
"""The consumer group of the documents process, behind the prefix."""
