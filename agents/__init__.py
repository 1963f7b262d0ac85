"""What happens to a message: one file for each process."""
