"""A certificate authority of nobody's, and a web server that it has signed for: a company's proxy, to a client."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from boxoffice.embedded.authority import Authority as OwnAuthority


class Authority(OwnAuthority):
    """Signs for ``localhost``; its certificate lies in ``certificate``, a PEM file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.prepare()

    @contextmanager
    def serving(self, files: Path) -> Iterator[str]:
        """The URL at which these files are served over TLS."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(files)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.store("server"))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"https://localhost:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nobody reads it."""
