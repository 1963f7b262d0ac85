"""On what terms an event is sold, for commands that cannot do without."""

from __future__ import annotations

from boxoffice.audit.event_view import event_in, fold_partition
from boxoffice.kafka.clients import home_partition
from boxoffice.kafka.topics import check_topics
from boxoffice.redis.terms import terms_in_redis
from boxoffice.settings import Settings


async def currency_of(settings: Settings, event_id: str) -> str:
    """The currency in which an event is sold: Redis has it at hand, else the ledger is read.

    Raises:
        UnknownEventError: there is no such event.
        ArchivedEventError: it was archived.
        NewerReleaseError: a newer release has written its ledger.
        UnreachableError: Kafka did not answer.
        TopicsError: the topics cannot be used.
    """
    terms = await terms_in_redis(settings.redis, event_id)
    if terms is not None:
        return terms["currency"]
    home = home_partition(event_id, await check_topics(settings.kafka))
    return event_in((await fold_partition(settings.kafka, home)).inventory, event_id).currency
