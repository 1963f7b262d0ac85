"""A batch path through Faust, by its own extension points: whole runs of records, from fetch to agent.

Faust makes a Message and an Event of each record, and two tasks; here a run of consecutive records of
one partition travels as one object, an agent takes what is there as one batch, and what it publishes
goes out as one record batch a partition. A topic takes part by being a :class:`BatchTopic`; every
other topic of the same app goes Faust's ordinary way. Nothing here knows what the records mean,
and nothing here imports anything of the box office: the package can be lifted out as it is.

| file | holds |
|---|---|
| ``records.py`` | what travels: runs of records, batches of runs, and what stands in the way |
| ``stream.py`` | the topic, the stream and the conductor: how an agent takes batches |
| ``consumer.py`` | how runs come from the broker, and how far each partition is done |
| ``producer.py`` | how many records go out as one, and the transport that puts all of it into an app |
| ``stages.py`` | a stage of a pipeline behind an agent |

    app = faust.App(..., Stream=BatchStream)
    app.transport = app.producer_transport = BatchTransport(urls, app, BatchOptions(buffer_size=20_000))

    @app.agent(BatchTopic(app, topics=["orders"]))
    async def take_orders(stream):
        async for batch in stream.batches(1_000):
            with ending_on_failure():
                ...
                batch.ack()

What it promises:

* Records of a partition arrive in order and without repeats as long as the partition stays assigned,
  and only while it is assigned: runs that were fetched but not taken before a revocation are dropped.
* Where a partition starts is the application's choice (:meth:`BatchConsumer.start_at`), else the
  group's committed offset. A partition that is withheld is not read at all. One that is withdrawn
  (:meth:`BatchConsumer.withdraw`) loses at once all that was read of it and is not acknowledged, and both are read
  again from where the application says (:meth:`BatchConsumer.release`), while the others flow on.
* What is published is given up never: a commit and a revocation do not wait for what has no leader to go to.
* Only what is committed is read of a producer that uses transactions.
* Batches are acknowledged in the order in which they were taken, and a revocation or a stop waits for
  those that were taken; the offset behind the last acknowledged run is then committed by Faust's own
  commit. Work that takes long, or that is done in another order, can be handed over instead.
* A run says which offset it was expected to begin at, so that whoever takes it can tell whether
  records are missing.
* A record batch that the disk has damaged stops its own partition at most: the application says where the
  damage is and whether to go on behind it (:attr:`BatchConsumer.look_at_damage`).

Back-pressure is by records that wait for a partition (``BatchOptions.buffer_size``; what is taken at once may come
on top), and by the memory that the records of all partitions take until they are acknowledged
(``BatchOptions.buffer_bytes``, likewise). How much aiokafka unpacks at once of a partition is not decided here.

What it asks for: a failure in the body must end the process there, without committing, as
``ending_on_failure`` stands for above. Faust would restart the agent, past what was not done, and takes no
``on_error`` from who declares an agent. And publishing needs a deadline of the application's.
"""

from boxoffice.batching.consumer import FETCH_MAX_WAIT_MS, BatchConsumer
from boxoffice.batching.producer import BatchProducer, BatchTransport
from boxoffice.batching.records import (
    RUN_SIZE,
    Batch,
    BatchOptions,
    LookAtDamage,
    Obstacle,
    Outgoing,
    Record,
    Removal,
    Run,
    has_gaps,
)
from boxoffice.batching.stages import Stage
from boxoffice.batching.stream import BatchConductor, BatchStream, BatchTopic

__all__ = [
    "FETCH_MAX_WAIT_MS",
    "RUN_SIZE",
    "Batch",
    "BatchConductor",
    "BatchConsumer",
    "BatchOptions",
    "BatchProducer",
    "BatchStream",
    "BatchTopic",
    "BatchTransport",
    "LookAtDamage",
    "Obstacle",
    "Outgoing",
    "Record",
    "Removal",
    "Run",
    "Stage",
    "has_gaps",
]
