"""Bodies of HTTP requests that a fuzzer makes: whatever they are, each becomes a command or a problem."""
