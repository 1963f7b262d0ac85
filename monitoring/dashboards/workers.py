"""Workers, and how they get on with Kafka."""

from __future__ import annotations

from typing import Final

from monitoring.panels import Board, Curve, Curves, Number, Row, mean, quantiles, rate

WORKERS: Final = Board(
    "workers",
    "Workers and Kafka",
    "Who decides, how far each partition is, and what Kafka takes of the time.",
    [
        Row(
            "Now",
            [
                Number("Workers", "Purchases processes that answer.", 'sum(up{job="purchases"})'),
                Number("Partitions ready", "Taken over, and decided.", 'sum(boxoffice_partitions{state="ready"})'),
                Number(
                    "Refused",
                    "Partitions on which nothing is decided.",
                    'sum(boxoffice_partitions{state="refused"})',
                    alarming_from=1,
                ),
                Number(
                    "Waiting for a leader",
                    "Partitions of which the brokers are gone.",
                    'sum(boxoffice_partitions{state="waiting"})',
                    alarming_from=1,
                ),
                Number(
                    "Without Kafka",
                    "Processes that cannot reach it.",
                    'sum(boxoffice_waits_for{server="Kafka"})',
                    alarming_from=1,
                ),
                Number(
                    "Dead letters owed",
                    "Unreadable commands that could not be kept yet.",
                    "sum(boxoffice_dead_letters_owed)",
                    alarming_from=1,
                ),
            ],
        ),
        Row(
            "Deciding",
            [
                Curves(
                    "Commands a second, by worker",
                    "Who has no partition has none.",
                    [Curve(rate("boxoffice_decisions_total", "instance"), "{{instance}}")],
                    stacked=True,
                ),
                Curves(
                    "Waiting, by partition",
                    "Commands that are not decided yet. One partition that grows alone has a hot event, or a flood.",
                    [Curve('sum by (partition) (boxoffice_lag_records{job="purchases"})', "{{partition}}")],
                    stacked=True,
                ),
                Curves(
                    "Commands decided at once",
                    "The more wait, the more go into a batch.",
                    [Curve(mean("boxoffice_batch_commands"), "mean")],
                ),
                Curves(
                    "A batch, until it is published",
                    "Deciding, and Redis.",
                    quantiles("boxoffice_batch_duration_seconds"),
                    unit="s",
                ),
                Curves(
                    "Publishing",
                    "Until the broker has acknowledged a batch's facts.",
                    quantiles("boxoffice_publish_duration_seconds"),
                    unit="s",
                ),
                Curves(
                    "The ledger",
                    "Its records, of all partitions.",
                    [Curve("sum(max by (partition) (boxoffice_ledger_records))", "facts")],
                ),
            ],
        ),
        Row(
            "Changes and strangers",
            [
                Curves(
                    "Take-overs",
                    "Times that partitions were taken over, in a quarter of an hour.",
                    [Curve("sum by (instance) (increase(boxoffice_recoveries_total[15m]))", "{{instance}}")],
                ),
                Curves(
                    "How long a take-over takes",
                    "The mean since the workers began: mostly the reading of ledgers.",
                    [
                        Curve(
                            "sum(boxoffice_recovery_duration_seconds_sum)"
                            " / sum(boxoffice_recovery_duration_seconds_count)",
                            "mean",
                        )
                    ],
                    unit="s",
                ),
                Curves(
                    "Forwards",
                    "Commands a second: found away from home, second copies of them, and with origins not believed.",
                    [
                        Curve(rate("boxoffice_forwarded_commands_total"), "forwarded"),
                        Curve(rate("boxoffice_second_copies_total"), "second copies"),
                        Curve(rate("boxoffice_false_origins_total"), "false origins"),
                    ],
                ),
                Curves(
                    "Unreadable",
                    "Records that went to dead-letters, damaged ones of the ledger, and strangers' by topic.",
                    [
                        Curve("sum by (process) (boxoffice_dead_letters_total)", "dead letters, {{process}}"),
                        Curve("sum(boxoffice_damaged_ledger_records_total)", "damaged"),
                        Curve("sum by (topic) (boxoffice_strange_records_total)", "strange, {{topic}}"),
                    ],
                ),
            ],
        ),
    ],
)
