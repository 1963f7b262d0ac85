"""The product as a person meets it: the README, the wheel, the command line and what it prints."""
