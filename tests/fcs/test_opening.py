"""What is not a regular file, or claims too much, is refused at once and costs no memory."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from treg_gating import FCSError, Sample, read_fcs
from treg_gating.fcs import source as source_module

PROBE = """
import json, sys, time
from treg_gating import FCSError, read_fcs
begun = time.monotonic()
try:
    read_fcs(sys.argv[1])
    code = "read"
except FCSError as error:
    code = error.code
# VmHWM is this program's own peak; ru_maxrss would begin with the size of the process that started it.
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([code, time.monotonic() - begun, peak / 1024]))
"""


def probe(path: Path) -> tuple[str, float, float]:
    """Code, seconds and peak memory in MB of reading `path` in a process of its own."""
    done = subprocess.run([sys.executable, "-c", PROBE, path], capture_output=True, text=True, timeout=60, check=True)
    return tuple(json.loads(done.stdout))


def sparse(path: Path, build: Callable[..., bytes], size: int, n_events: int) -> None:
    """A file of `size` bytes that says it holds `n_events` events of 20 bytes from byte 4096 on."""
    text = re.sub(rb"[$]BEGINDATA.*", b"", build(np.zeros((0, 5)), TOT=str(n_events))[58:])
    text += b"$BEGINDATA/4096/$ENDDATA/%d/" % (4096 + n_events * 20 - 1)
    head = b"FCS3.1    " + b"".join(b"%8d" % offset for offset in (58, 57 + len(text), 0, 0, 0, 0))
    path.write_bytes(head + text)
    os.truncate(path, size)


@pytest.mark.parametrize("kind", ["fifo", "directory", "device", "loop", "dangling", "socket", "sparse"])
def test_refused_within_2_seconds_and_300_mb(tmp_path: Path, kind: str, build: Callable[..., bytes]) -> None:
    path = tmp_path / "x.fcs"
    expected = "E_NOT_REGULAR"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "socket":
        import socket

        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif kind == "sparse":
        sparse(path, build, 60 << 30, 3 << 30)
        expected = "E_TOO_LARGE"
    else:
        path.symlink_to(path.name if kind == "loop" else "nowhere")
        expected = "E_OPEN"
    code, seconds, megabytes = probe(path)
    assert code == expected
    assert seconds < 2
    assert megabytes < 300


def test_claims_allocate_nothing(tmp_path: Path, build: Callable[..., bytes]) -> None:
    """A small file that claims 60 GB of events."""
    path = tmp_path / "x.fcs"
    sparse(path, build, 100_000, 3 << 30)
    code, _, megabytes = probe(path)
    assert code == "E_TRUNCATED"
    assert megabytes < 300


def test_limit_is_the_callers(read: Callable[..., Sample], build: Callable[..., bytes], floats: np.ndarray) -> None:
    raw = build(floats)
    assert read(raw, max_bytes=len(raw)).n_events == 200
    with pytest.raises(FCSError, match="E_TOO_LARGE"):
        read(raw, max_bytes=len(raw) - 1)


def test_withdrawn_rights_count_for_root_too(tmp_path: Path, build: Callable[..., bytes], floats: np.ndarray) -> None:
    path = tmp_path / "x.fcs"
    path.write_bytes(build(floats))
    path.chmod(0)
    with pytest.raises(FCSError, match="E_OPEN"):
        read_fcs(path)


def test_zero_byte_in_path() -> None:
    with pytest.raises(FCSError, match="E_OPEN"):
        read_fcs("a\0b")


@pytest.mark.parametrize("change", ["grow", "shrink", "rewrite"])
def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, build: Callable[..., bytes], floats: np.ndarray, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Whatever happens between parsing TEXT and hashing it, no sample comes out that its hash does not describe."""
    path = tmp_path / "x.fcs"
    raw = build(floats)
    path.write_bytes(raw)
    fill = source_module.Source.fill

    def meddle(self: source_module.Source, *args: object) -> None:
        fill(self, *args)
        changed = {"grow": raw + b"more", "shrink": raw[:-1], "rewrite": raw.replace(b"262144", b"262143")}[change]
        path.write_bytes(changed)

    if change == "rewrite":
        stream = source_module.Source.stream

        def meddle_first(self: source_module.Source, *args: object) -> object:
            path.write_bytes(raw.replace(b"262144", b"262143"))
            return stream(self, *args)

        monkeypatch.setattr(source_module.Source, "stream", meddle_first)
    else:
        monkeypatch.setattr(source_module.Source, "fill", meddle)
    with pytest.raises(FCSError, match="E_CHANGED"):
        read_fcs(path)
