"""How an agent takes batches: the topic, the stream, and the conductor that knows their queues."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

from faust.streams import Stream
from faust.topics import Topic
from faust.transport.conductor import Conductor
from faust.types import TP

from boxoffice.batching.records import Batch, Run

if TYPE_CHECKING:
    from boxoffice.batching.consumer import BatchConsumer


class BatchTopic(Topic):
    """A topic whose records travel in runs."""


class BatchStream(Stream):  # type: ignore[type-arg]
    """A stream that can also be read in batches."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unsettled: deque[Batch] = deque()

    async def batches(self, size: int) -> AsyncIterator[Batch]:
        """What is there, at most ``size`` records at once, or one run if that is longer.

        A lone record is not kept waiting for others.
        """
        await self.maybe_start()
        queue = cast(Any, self.channel).queue
        while not self.should_stop:
            try:
                first = await queue.get()
            except StopAsyncIteration:
                return  # Faust's way of telling an agent to stop.
            runs = self._still_ours([first])
            count = sum(len(run.records) for run in runs)
            while not queue.empty() and count + len(queue._queue[0].records) <= size:
                run = self._still_ours([queue.get_nowait()])
                count += sum(len(one.records) for one in run)
                runs += run
            if runs:
                yield self._taken(runs)
            await asyncio.sleep(0)

    def _still_ours(self, runs: list[Run]) -> list[Run]:
        """Runs of an assignment that has ended are read again by whoever has the partition now."""
        if not self.app.flow_control.is_active():
            return []
        return [run for run in runs if run.generation == self.app.consumer_generation_id]

    def _taken(self, runs: list[Run]) -> Batch:
        batch = Batch(runs, self)
        self._unsettled.append(batch)
        cast("BatchConsumer", self.app.consumer).on_batch_taken(batch)
        return batch

    def settle(self, batch: Batch) -> None:
        """Acknowledge the batch that was taken first.

        Raises:
            RuntimeError: it is another one, or was acknowledged or handed over before; nothing has changed.
        """
        if not self._unsettled or self._unsettled[0] is not batch:
            raise RuntimeError("batches must be acknowledged in the order in which they were taken")
        self._unsettled.popleft()
        batch.acked = True
        cast("BatchConsumer", self.app.consumer).on_batch_acked(batch)

    def let_go(self, batch: Batch) -> None:
        """Forget a batch that was handed over."""
        self._unsettled.remove(batch)
        cast("BatchConsumer", self.app.consumer).on_batch_handed_over(batch)


class BatchConductor(Conductor):
    """Knows which queue a partition's runs go to."""

    def batch_queue(self, tp: TP) -> Any | None:
        """The queue of the one agent that reads this partition in batches, if there is one."""
        for topic in self._tp_index.get(tp, ()):
            if isinstance(topic, BatchTopic):
                return topic.queue
        return None

    def is_batch_topic(self, name: str) -> bool:
        """Whether a topic is read in batches."""
        return any(isinstance(topic, BatchTopic) for topic in self._topic_name_index.get(name, ()))
