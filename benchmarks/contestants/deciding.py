"""What every contestant does between reading and publishing, by the product's own functions.

The commands are validated, decided and folded, the facts written whole, with their headers, and the same
script asked in one round trip a batch. So contestants differ only in how records get here and facts away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from benchmarks.sale import patient_store
from boxoffice.batching import Outgoing
from boxoffice.redis.store import DecideCall, DecideReply
from boxoffice.selling.deciding import Answer, OwnedPartition, Record, new_partition
from boxoffice.selling.publishing import ledger_record
from boxoffice.selling.recovery import Recovery
from boxoffice.settings import Settings
from lua.calls import Applied, agrees
from models.shapes import Decider


class Deciding:
    """Decides batches of all partitions."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = patient_store(settings)
        self.owned: dict[int, OwnedPartition] = {}

    async def take_over(self) -> None:
        """Read the ledger to its end."""
        partitions = self._settings.kafka.partitions
        self.owned = {number: new_partition(number, partitions) for number in range(partitions)}
        refusals = await Recovery(self._settings.kafka, partitions).recover(self.owned)
        assert not refusals, refusals

    async def decide(self, found: Mapping[int, list[Record]]) -> dict[int, list[Outgoing]]:
        """The ledger records, by partition, that answer the commands found there."""
        answers = {number: self.owned[number].answer(records) for number, records in found.items()}
        await self._ask_redis(answers)
        return {
            number: [ledger_record(one, self.owned[number].partitions) for one in of_partition]
            for number, of_partition in answers.items()
        }

    async def _ask_redis(self, answers: Mapping[int, list[Answer]]) -> None:
        by_event: defaultdict[tuple[int, str], list[Applied]] = defaultdict(list)
        for number, of_partition in answers.items():
            for answer in of_partition:
                if answer.decided is not None:
                    by_event[number, answer.decided.fact["event_id"]].append(answer.decided)
        replies = await self._store.decide([self._call(*where, decided) for where, decided in by_event.items()])
        for decided, reply in zip(by_event.values(), replies, strict=True):
            assert isinstance(reply, DecideReply), reply
            for one, told in zip(decided, reply.answers, strict=True):
                assert agrees(one.fact, told), (one, told)
                one.fact["decided_by"] = Decider.REDIS.value

    def _call(self, number: int, event_id: str, decided: list[Applied]) -> DecideCall:
        event = self.owned[number].ledger.inventory.events[event_id]
        return DecideCall(event, decided[0].fact["seq"] - 1, decided)
