"""Holds and money: what is kept for buyers, what comes back, what each category sells, and the clock."""

from __future__ import annotations

from typing import Final

from monitoring.panels import Board, Curve, Curves, Number, Row, quantiles, rate


def _category(state: str) -> str:
    return f'sum by (category) (boxoffice_category_tickets{{state="{state}"}})'


def _outcomes(outcome: str) -> str:
    return rate(f'boxoffice_decisions_total{{outcome="{outcome}"}}')


HOLDS: Final = Board(
    "holds",
    "Holds and money",
    "What is kept for buyers, what becomes of it, what it brings, and whether the clock ends what is due.",
    [
        Row(
            "Now",
            [
                Number("Held", "Tickets that are kept for buyers who have not paid.", "sum(boxoffice_tickets_held)"),
                Number(
                    "Expired",
                    "Tickets that were held and not paid for in time, of all events.",
                    'sum(boxoffice_category_tickets{state="expired"})',
                ),
                Number(
                    "Payments refused",
                    "In the last hour: that money has to be given back.",
                    'sum(increase(boxoffice_decisions_total{outcome="payment_refused"}[1h]))',
                    decimals=0,
                ),
                Number(
                    "Overdue",
                    "For how long the hold that is due for longest has been due.",
                    "max(boxoffice_clock_overdue_seconds)",
                    unit="s",
                    alarming_from=60,
                ),
                Number("Clocks", "Clock processes that answer.", 'sum(up{job="clock"})'),
                Number(
                    "Early",
                    "Questions of clocks that came before their time, in the last hour.",
                    'sum(increase(boxoffice_clock_answers_total{answer="not_due"}[1h]))',
                    decimals=0,
                ),
            ],
        ),
        Row(
            "Holds",
            [
                Curves(
                    "What becomes of holds",
                    "In a second: reserved, confirmed (also without a hold), expired, cancelled.",
                    [
                        Curve(_outcomes("purchase_held"), "held"),
                        Curve(_outcomes("purchase_confirmed"), "confirmed"),
                        Curve(_outcomes("hold_expired"), "expired"),
                        Curve(_outcomes("purchase_cancelled"), "cancelled"),
                    ],
                ),
                Curves(
                    "Payments refused, by why",
                    "In a second.",
                    [Curve(rate('boxoffice_decisions_total{outcome="payment_refused"}', "reason"), "{{reason}}")],
                    stacked=True,
                ),
                Curves(
                    "Held, by category",
                    "Tickets of all events.",
                    [Curve(_category("held"), "{{category}}")],
                    stacked=True,
                ),
                Curves(
                    "Sold, by category",
                    "Tickets of all events.",
                    [Curve(_category("sold"), "{{category}}")],
                    stacked=True,
                ),
                Curves(
                    "Left, by category",
                    "Tickets of all events.",
                    [Curve(_category("remaining"), "{{category}}")],
                    stacked=True,
                ),
                Curves(
                    "Expired, by category",
                    "Tickets that were held and not paid for in time, since each event began.",
                    [Curve(_category("expired"), "{{category}}")],
                    stacked=True,
                ),
            ],
        ),
        Row(
            "Money",
            [
                Curves(
                    "Revenue",
                    "What was paid, less what was given back, by currency.",
                    [Curve("sum by (currency) (boxoffice_revenue)", "{{currency}}")],
                ),
                Curves(
                    "Refunds",
                    "What was given back of what was paid, by currency.",
                    [Curve("sum by (currency) (boxoffice_refunded)", "{{currency}}")],
                ),
            ],
        ),
        Row(
            "The clock",
            [
                Curves(
                    "Asked and answered",
                    "In a second: holds that clocks ask about, and what they are answered.",
                    [
                        Curve(rate("boxoffice_clock_asked_total"), "asked"),
                        Curve(rate("boxoffice_clock_answers_total", "answer"), "{{answer}}"),
                    ],
                ),
                Curves(
                    "How late holds end",
                    "After they were due, by the broker's time.",
                    quantiles("boxoffice_clock_late_seconds"),
                    unit="s",
                ),
                Curves(
                    "Holds that clocks know",
                    "And how many records of the ledger they have not read.",
                    [
                        Curve("sum(boxoffice_clock_holds)", "holds"),
                        Curve('sum(boxoffice_lag_records{job="clock"})', "records not read"),
                    ],
                ),
            ],
        ),
    ],
)
