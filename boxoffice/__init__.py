"""Box office: ticket sales as a stream processor. The log decides, Redis serves."""

__version__ = "0.1.0"
