"""Promise: the parts fit, on a real Kafka and a real Redis.

What stands here goes through real servers, real processes and the real command line, with nothing broken on
purpose. The servers are started once for the run and shared, so every test keeps to its own prefix, passes
in any order and leaves nothing behind.
"""
