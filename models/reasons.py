"""Why commands and payments are refused."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a command was refused."""

    UNKNOWN_EVENT = "unknown_event"
    EVENT_ARCHIVED = "event_archived"
    EVENT_CANCELLED = "event_cancelled"
    EVENT_CLOSED = "event_closed"
    NOT_ON_SALE_YET = "not_on_sale_yet"
    SALE_ENDED = "sale_ended"
    UNKNOWN_CATEGORY = "unknown_category"
    OVER_ORDER_LIMIT = "over_order_limit"
    OVER_BUYER_LIMIT = "over_buyer_limit"
    SOLD_OUT = "sold_out"
    """None is left, and none is held."""
    ALL_HELD = "all_held"
    """None is left, but held ones may come back."""
    NOT_ENOUGH_LEFT = "not_enough_left"
    REQUEST_ID_REUSED = "request_id_reused"
    EVENT_EXISTS = "event_exists"
    EVENT_OPEN = "event_open"
    """It is still sold, or has holds that have not ended."""
    NO_SUCH_PURCHASE = "no_such_purchase"
    NO_SUCH_TICKET = "no_such_ticket"
    EARLIER_RULES = "earlier_rules"
    """The event is sold by the rules of an earlier release, which cannot read what would follow."""
    ALREADY_CANCELLED = "already_cancelled"
    NOT_DUE = "not_due"
    NOT_HELD = "not_held"
    PAYMENT_REUSED = "payment_reused"
    """The payment has paid for another purchase."""


class PaymentReason(StrEnum):
    """Why a payment was refused: the money has to be given back."""

    NO_SUCH_PURCHASE = "no_such_purchase"
    ALREADY_PAID = "already_paid"
    ALREADY_CANCELLED = "already_cancelled"
    AMOUNT_MISMATCH = "amount_mismatch"
    EVENT_CANCELLED = "event_cancelled"
    EVENT_CLOSED = "event_closed"
    OVER_BUYER_LIMIT = "over_buyer_limit"
    SOLD_OUT = "sold_out"
