"""The messages and the rules: pure, without I/O and without a framework."""
