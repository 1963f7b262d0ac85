"""Keys and codes on the command line: one sentence and a status for everything, and never a secret."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from boxoffice.cli import run
from boxoffice.door.keys import read_ring
from boxoffice.door.signing import sign
from boxoffice.errors import ExitStatus
from tests.support.codes import BAD, GOOD, VECTORS
from tests.support.office import boxoffice_path


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Door = Callable[..., Done]


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    """Where the settings have the ring."""
    return tmp_path / "keys" / "ring.json"


@pytest.fixture
def door(ring: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Door:
    """Runs ``boxoffice door``, where no server is."""
    monkeypatch.setenv("BOXOFFICE_DOOR_KEYS", str(ring))

    def in_here(*arguments: str) -> Done:
        capsys.readouterr()
        status = run(["door", *arguments])
        return Done(status, *capsys.readouterr())

    return in_here


def scanned(vectors: str, given: bytes) -> Done:
    """What a hand scanner is told that types these bytes."""
    command = [boxoffice_path(), "door", "verify", "-", "--keys", vectors]
    done = subprocess.run(command, input=given, capture_output=True, timeout=60, check=False)
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def vectors(tmp_path: Path) -> str:
    """The public keys of the vectors, as a file."""
    path = tmp_path / "public.json"
    path.write_text(json.dumps(VECTORS["key_ring"]))
    return str(path)


def seeds(ring: Path) -> list[str]:
    return [key["d"] for key in json.loads(ring.read_text())["keys"] if "d" in key]


def code_by(ring: Path, key_id: int) -> str:
    key = read_ring(ring.read_bytes()).key(key_id)
    assert key is not None
    return sign(key, "42", "42-000001", 2)


# Keys


def test_keys_are_made_rotated_revoked_and_verify(door: Door, ring: Path) -> None:
    made = door("keys", "create")
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.startswith(f"Made key 1 in {ring}: it is secret.")
    assert stat.S_IMODE(ring.stat().st_mode) == 0o600
    assert stat.S_IMODE(ring.parent.stat().st_mode) == 0o700
    first = code_by(ring, 1)

    rotated = door("keys", "rotate", "--in", "0")
    assert rotated.stdout.startswith(f"Made key 2 in {ring}: it signs what is sold from 2")
    second = code_by(ring, 2)
    assert [door("verify", code).returncode for code in (first, second)] == [0, 0]

    revoked = door("keys", "revoke", "1")
    assert revoked.stdout.startswith(f"Revoked key 1 in {ring}: ")
    assert stat.S_IMODE(ring.stat().st_mode) == 0o600
    refused = door("verify", first)
    assert refused.returncode == ExitStatus.BAD_CODE
    assert refused.stderr.startswith("Key 1 was revoked at 2")
    good = door("verify", second)
    assert (good.returncode, good.stdout) == (
        0,
        "Good by its signature: ticket 42-000001 (event 42, seq 2, key 2).\n",
    )

    shown = door("keys", "list")
    assert [line.split()[0] for line in shown.stdout.splitlines() if line.strip()[:1].isdigit()] == ["1", "2"]
    assert "revoked" in shown.stdout
    assert list(ring.parent.glob(".*")) == [], "something was left half written"


def test_the_public_keys_alone_verify_and_are_all_there_for_ever(door: Door, ring: Path, tmp_path: Path) -> None:
    door("keys", "create")
    door("keys", "rotate", "--in", "0")
    codes = [code_by(ring, 1), code_by(ring, 2)]
    door("keys", "revoke", "1")
    for option in ("--public", "--json"):
        (tmp_path / "public.json").write_text(door("keys", "list", option).stdout)
        public = json.loads((tmp_path / "public.json").read_text())
        assert [(key["kid"], key["kty"], key["crv"]) for key in public["keys"]] == [
            ("1", "OKP", "Ed25519"),
            ("2", "OKP", "Ed25519"),
        ]
        assert not any("d" in key for key in public["keys"])
    ring.unlink()
    told = [door("verify", code, "--keys", str(tmp_path / "public.json")) for code in codes]
    assert [one.returncode for one in told] == [ExitStatus.BAD_CODE, ExitStatus.OK]


def test_no_seed_is_ever_shown(door: Door, ring: Path) -> None:
    done = [door("keys", "create"), door("keys", "rotate"), door("keys", "list"), door("keys", "list", "--public")]
    secret = seeds(ring)
    assert len(secret) == 2
    done += [door("keys", "revoke", "1"), door("keys", "list"), door("keys", "create"), door("verify", "BX1:")]
    ring.write_text(ring.read_text().replace('"keys"', '"kays"'))
    done += [door("keys", "list"), door("keys", "rotate"), door("verify", "BX1:")]
    told = "".join(one.stdout + one.stderr for one in done)
    assert told
    assert not any(seed in told for seed in secret)


def test_a_ring_is_never_written_over(door: Door, ring: Path) -> None:
    door("keys", "create")
    before = ring.read_bytes()
    again = door("keys", "create")
    assert again.returncode == ExitStatus.USAGE
    assert again.stderr.startswith(f"There are keys at {ring}, and they stay: ")
    assert ring.read_bytes() == before


def test_a_deployment_makes_the_ring_at_its_first_start_alone(door: Door, ring: Path) -> None:
    assert "Made key 1" in door("keys", "create", "--if-missing").stdout
    before = ring.read_bytes()
    again = door("keys", "create", "--if-missing")
    assert (again.returncode, again.stdout) == (0, f"There are keys at {ring}, and they stay.\n")
    assert ring.read_bytes() == before
    ring.write_text("garbage")
    assert door("keys", "create", "--if-missing").returncode == ExitStatus.USAGE


@pytest.mark.parametrize("command", [("rotate",), ("revoke", "1"), ("list",)])
def test_where_there_are_no_keys_the_sentence_names_the_command(door: Door, ring: Path, command: tuple[str]) -> None:
    done = door("keys", *command)
    assert done.returncode == ExitStatus.USAGE
    assert done.stderr == (
        f"There are no keys at {ring}: make them with 'boxoffice door keys create', "
        "or let BOXOFFICE_DOOR_KEYS name the ring that there is.\n"
    )
    assert not ring.parent.exists(), "who looks for a ring makes nothing"


def test_a_rotated_key_waits_until_its_time(door: Door) -> None:
    door("keys", "create")
    door("keys", "rotate")
    lines = door("keys", "list").stdout.splitlines()
    assert [line.split()[-1] for line in lines if line.strip()[:1].isdigit()] == ["signs", "waits"]


def test_the_only_key_cannot_be_revoked(door: Door, ring: Path) -> None:
    door("keys", "create")
    before = ring.read_bytes()
    done = door("keys", "revoke", "1")
    assert done.returncode == ExitStatus.USAGE
    assert done.stderr.startswith(f"The keys {ring} stay as they are: key 1 is its only one: ")
    assert ring.read_bytes() == before


def test_after_a_loss_the_old_codes_stay_good_and_new_ones_have_another_key(
    door: Door, ring: Path, tmp_path: Path
) -> None:
    door("keys", "create")
    old = code_by(ring, 1)
    public = tmp_path / "public.json"
    public.write_text(door("keys", "list", "--public").stdout)
    ring.unlink()
    made = door("keys", "create", "--after", str(public))
    assert made.stdout.startswith("Made key 2 in ")
    assert door("verify", old).returncode == ExitStatus.OK
    assert door("verify", code_by(ring, 2)).returncode == ExitStatus.OK
    assert len(seeds(ring)) == 1


def test_a_ring_lies_in_the_user_s_data_folder_unless_the_settings_name_another(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BOXOFFICE_DOOR_KEYS")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert f"in {tmp_path}" in door("keys", "create").stdout
    [found] = tmp_path.rglob("door-keys.json")
    assert stat.S_IMODE(found.stat().st_mode) == 0o600


# Codes


@pytest.mark.parametrize("vector", [GOOD[0], GOOD[-1]], ids=lambda vector: vector["note"])
def test_a_good_code_is_one_sentence_that_names_the_sale(door: Door, vectors: str, vector: dict[str, Any]) -> None:
    done = door("verify", vector["code"], "--keys", vectors)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"Good by its signature: ticket {vector['ticket']} (event {vector['event_id']}, seq {vector['seq']}, "
        f"key {vector['key']}).\n"
    )


def test_every_bad_code_is_one_sentence_and_its_own_status(door: Door, vectors: str) -> None:
    chosen = {vector["verdict"]: vector for vector in reversed(BAD)}
    assert set(chosen) == {"malformed", "unknown key", "wrong signature", "revoked key"}
    for vector in chosen.values():
        done = door("verify", vector["code"], "--keys", vectors)
        assert (done.returncode, done.stdout) == (ExitStatus.BAD_CODE, ""), vector
        assert done.stderr.count("\n") == 1
        assert done.stderr.endswith(".\n")


def test_verifying_without_keys_is_a_mistake_and_no_verdict(door: Door, tmp_path: Path) -> None:
    for arguments in ((), ("--keys", str(tmp_path / "nowhere")), ("--keys", str(tmp_path))):
        done = door("verify", GOOD[0]["code"], *arguments)
        assert done.returncode == ExitStatus.USAGE
        assert done.stderr.count("\n") == 1


def test_a_hand_scanner_types_lines_and_hears_of_each(vectors: str) -> None:
    good, bad = GOOD[0]["code"], BAD[-1]["code"]
    done = scanned(vectors, f"{good}\r\n\n\t{bad}\n{GOOD[1]['code']}".encode())
    assert done.returncode == ExitStatus.BAD_CODE
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "Good by its signature",
        "Key 1 was revoked at 2026-09-01T12",
        "Good by its signature",
    ]
    assert done.stderr == ""
    assert scanned(vectors, f"{good}\n".encode()).returncode == ExitStatus.OK


@pytest.mark.parametrize("given", ["</dev/null", "<&-", "<<< ''"])
def test_where_no_code_comes_nothing_is_good(vectors: str, given: str) -> None:
    """Or a scanner that is not plugged in lets everybody in."""
    shell = ["bash", "-c", f'exec "$0" door verify - --keys "$1" {given}', boxoffice_path(), vectors]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (ExitStatus.BAD_CODE, "")
    assert done.stderr == "This is no ticket's code: nothing came on standard input.\n"


def test_nothing_that_a_scanner_types_stops_it(vectors: str) -> None:
    good = GOOD[0]["code"].encode()
    hostile = [
        b"\xff\xfe\x00",
        b"\x1b[2J\x1b]0;mine\x07",
        "Žluťoučký \u202e 🎉".encode(),
        b"x" * 10_000_000,
        b"BX1:" + b"0" * 5_000,
        good[:-1],
        b"BX1:",
        b"\0",
        b"--help",
        b"-",
    ]
    given = b"\n".join([good, *hostile, good])
    done = scanned(vectors, given)
    lines = done.stdout.splitlines()
    assert done.returncode == ExitStatus.BAD_CODE
    assert [line.startswith("Good") for line in lines] == [True, *[False] * len(hostile), True]
    assert all(line.isprintable() and len(line) < 200 for line in lines)
    assert done.stderr == ""


def test_what_is_typed_in_the_place_of_a_code_is_one_sentence(door: Door, vectors: str) -> None:
    for code in (" ", "42-000001", "BX1:", "\x1b[2J", "b" * 100_000, "\u202e", "BX1:Ž"):
        done = door("verify", "--keys", vectors, "--", code)
        assert done.returncode == ExitStatus.BAD_CODE
        assert done.stderr.startswith("This is no ticket's code: ")
        assert done.stderr.count("\n") == 1
        assert done.stderr[:-1].isprintable()
