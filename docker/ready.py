"""Whether the process in this container is ready: the health check of the image.

It is run every few seconds in each container, so it speaks HTTP by hand: to import a client takes as long again. Of the
audit, which is no worker, each path says 200 while it runs.
"""

import os
import socket
import sys

DEFAULT_PORT = 9464
WITHIN_S = 4.0
REQUEST = b"GET /health/ready HTTP/1.0\r\n\r\n"


def ready() -> bool:
    """Ask the health port."""
    port = int(os.environ.get("BOXOFFICE_HEALTH_PORT") or DEFAULT_PORT)
    try:
        with socket.create_connection(("127.0.0.1", port), WITHIN_S) as connection:
            connection.sendall(REQUEST)
            return connection.recv(64).split(b" ", 2)[1:2] == [b"200"]
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(not ready())
