"""Buckets on a real S3 server, of somebody else's."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPConnection

import pytest


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """A real S3 server, moto's; its address."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline_s = time.monotonic() + 30
        while True:
            with suppress(OSError):
                _ask(address, "GET", "/moto-api/")
                break
            assert time.monotonic() < deadline_s, "the S3 server does not answer"
            time.sleep(0.05)
        yield address
    finally:
        server.terminate()
        server.wait()


def s3_environment(address: str) -> dict[str, str]:
    """Where the server is, and keys for it."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }


def create_bucket(address: str, name: str) -> None:
    """Make a bucket there."""
    _ask(address, "PUT", f"/{name}")


def _ask(address: str, method: str, path: str) -> None:
    client = HTTPConnection(address.removeprefix("http://"), timeout=10)
    try:
        client.request(method, path)
        assert client.getresponse().status == HTTPStatus.OK
    finally:
        client.close()
