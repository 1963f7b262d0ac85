"""From a batch of commands to acknowledged facts."""
