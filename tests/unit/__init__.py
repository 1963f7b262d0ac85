"""Promise: no process, no network, no clock.

What stands here runs in milliseconds and says exactly which rule is broken. It covers what is pure: the
rules of selling, the messages, the settings, and small parts whose surroundings are handed in. A fake
stands only for what the part under test is not about.
"""
