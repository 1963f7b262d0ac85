"""The events that are asked about: one that is sold, and one whose sale is ended."""

SOLD = "42"
ENDED = "43"
