"""What each reason for a refusal means, to stand behind it in a sentence."""

from __future__ import annotations

from typing import Final

REASONS: Final = {
    "unknown_event": "there is no such event",
    "event_archived": "the event is over and forgotten",
    "event_cancelled": "the event was called off",
    "event_closed": "the sale has ended",
    "not_on_sale_yet": "the sale has not begun",
    "sale_ended": "the time of the sale is over",
    "unknown_category": "the event has no such category",
    "over_order_limit": "an order gets no more than the event's limit",
    "over_buyer_limit": "the buyer would have more than the event's limit, held tickets too",
    "sold_out": "no ticket is left, and none is held",
    "all_held": "no ticket is left, but held ones may come back",
    "not_enough_left": "some tickets are left, but fewer",
    "request_id_reused": "the request id stands for something else",
    "event_exists": "there is such an event",
    "event_open": "it is on sale, or tickets of it are held",
    "no_such_purchase": "there is none with this id, or it is another buyer's",
    "no_such_ticket": "the purchase has not all of these tickets",
    "earlier_rules": "the event is sold by earlier rules, which give back whole purchases; change it first",
    "already_cancelled": "it was cancelled before",
    "not_due": "it is held for a while yet",
    "not_held": "it is paid for, or its time is over",
    "payment_reused": "the payment has paid for something else",
}
"""Of commands."""

OF_PAYMENTS: Final = {
    "no_such_purchase": "there is no such purchase",
    "already_paid": "the purchase is confirmed already",
    "already_cancelled": "the purchase is cancelled",
    "amount_mismatch": "it is not what the tickets cost",
    "event_cancelled": "it came when the hold had expired, and the event was called off",
    "event_closed": "it came when the hold had expired, and the sale has ended",
    "over_buyer_limit": "it came when the hold had expired, and the buyer has as many others as he may",
    "sold_out": "it came when the hold had expired, and not as many tickets are left",
}
"""Of payments that are of no use."""
