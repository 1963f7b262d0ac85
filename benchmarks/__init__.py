"""What the box office can do on one machine, measured."""
