"""The door: keys that sign tickets' codes, and whether a code is good."""
