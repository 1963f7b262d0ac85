"""What a process is: how it starts, lives, shows itself and ends."""
