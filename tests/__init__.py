"""The tests: each folder makes its own promise, in its package's docstring."""
