"""Promise: schedules that nobody would think of are tried, and a failure comes back from one number.

What stands here drives the protocol through random interleavings of owners, losses and crashes, without real
servers. Each run prints its seed; setting it again replays the same schedule.
"""
