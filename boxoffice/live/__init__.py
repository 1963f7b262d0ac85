"""The live page: spectators see events sell, in a process of their own, so that they cannot slow a buyer."""
