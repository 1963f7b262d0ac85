"""Tickets as PDFs: made, stored, waiting."""

from __future__ import annotations

from typing import Final

from monitoring.panels import Board, Curve, Curves, Number, Row, quantiles, rate

DOCUMENTS: Final = Board(
    "documents",
    "Documents",
    "The PDF tickets and the statistics: what is made, and what waits.",
    [
        Row(
            "Now",
            [
                Number("To be made", "Documents that wait.", "sum(boxoffice_documents_waiting)"),
                Number("Made a second", "Stored and announced.", rate("boxoffice_documents_made_total"), decimals=1),
                Number(
                    "Failed",
                    "That could not be made, in the last hour.",
                    "sum(increase(boxoffice_documents_failed_total[1h]))",
                    decimals=0,
                    alarming_from=1,
                ),
                Number(
                    "Flawed",
                    "Made with something that cannot be read, in the last hour.",
                    "sum(increase(boxoffice_documents_flawed_total[1h]))",
                    decimals=0,
                    alarming_from=1,
                ),
                Number(
                    "Size",
                    "Of a document, on the average since the processes began.",
                    "sum(boxoffice_document_bytes_total) / sum(boxoffice_documents_made_total)",
                    unit="bytes",
                ),
                Number(
                    "Waits for a server",
                    "Kafka or the document store, by either process.",
                    'sum(boxoffice_waits_for{job=~"documents|stats"})',
                    alarming_from=1,
                ),
            ],
        ),
        Row(
            "Documents",
            [
                Curves(
                    "Made and waiting",
                    "Made in a second, and how many wait.",
                    [
                        Curve(rate("boxoffice_documents_made_total"), "made"),
                        Curve("sum(boxoffice_documents_waiting)", "waiting"),
                    ],
                ),
                Curves("Drawing one", "Without its storing.", quantiles("boxoffice_render_duration_seconds"), unit="s"),
                Curves(
                    "Removed",
                    "By why, since the processes began: cancelled, or long over.",
                    [Curve("sum by (why) (boxoffice_documents_removed_total)", "{{why}}")],
                ),
                Curves(
                    "Stored",
                    "Bytes a second.",
                    [Curve(rate("boxoffice_document_bytes_total"), "stored")],
                    unit="Bps",
                ),
                Curves(
                    "Facts not dealt with",
                    "On the ledger, by process.",
                    [Curve('sum by (job) (boxoffice_lag_records{job=~"documents|stats"})', "{{job}}")],
                ),
                Curves(
                    "Facts counted",
                    "In a second, into the statistics.",
                    [Curve(rate("boxoffice_statistics_facts_total"), "facts")],
                ),
            ],
        ),
    ],
)
