"""Promise: nothing is lost, doubled or reordered while something fails.

What stands here kills, pauses, cuts off, fills up or empties a server or a worker in the middle of sales, and
then compares the ledger, Redis and the answers with what must be. A test that breaks a server breaks one of
its own, never the shared one.

`make test` has five minutes for what stands here and for the simulation, and runs a part that represents it. All
others are marked `long`, and run by `make faults`.
"""
