"""What people may be shown: no secret, and nothing that a terminal would obey."""
