"""Promise: schedules that nobody would think of are tried, and a failure comes back from one number.

The code that ships (taking over, deciding, Redis' scripts, settling and rebuilding, publishing) runs here in one
thread on a simulated clock, log and Redis, through random interleavings of owners, losses and crashes; in some of
them workers are upgraded, so that owners of two releases sell side by side. Every schedule comes from a seed, which a
failure prints::

    python -m tests.simulation --seed 123           replays it, with all that happened in it
    python -m tests.simulation --schedules 10000    tries so many seeds, on all cores

| file | stands for |
|---|---|
| ``processes.py`` | the clock, and processes that can be stopped, continued and killed at any await |
| ``network.py`` | what lies between a process and its servers: delay, loss, and who is cut off |
| ``broker.py`` | Kafka: the log, a reader and a producer |
| ``redis_memory.py`` | a Redis server: the keys, and the shipping scripts in a real Lua |
| ``redis_server.py`` | that server as its clients meet it: down, hung, slow, full, wiped, restored |
| ``worker.py`` | a purchases process: the product's own parts, as agents/purchases.py wires them |
| ``group.py`` | the consumer group |
| ``gateway.py`` | a gateway: the product's own desk and follower, on a producer and a client that fail |
| ``stranger.py`` | somebody who believes another number of partitions |
| ``releases.py`` | workers of an earlier release beside those of the present one |
| ``asking.py`` | all who send commands |
| ``truth.py`` | what the rules make of all commands, seq by seq |
| ``stage.py`` | where a schedule plays |
| ``troubles.py`` | what goes wrong |
| ``promises.py`` | what must hold |
| ``schedule.py`` | one schedule |
"""
