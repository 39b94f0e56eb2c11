"""A run on a cluster that is there already, as `dask scheduler` and `dask worker` make it, with TLS on loopback."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DRIVE = Path(__file__).with_name("drive.py")
TABLES = ("endpoint.csv", "gates.csv", "populations.parquet")
DASK = [sys.executable, "-m", "dask"]


@pytest.fixture
def certificate(tmp_path) -> dict[str, str]:
    """One self-signed certificate for scheduler, workers and client, and Dask's options that name it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    cert, secret = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    return {"--tls-ca-file": cert, "--tls-cert": cert, "--tls-key": secret}


def start(words: list[str], folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def end(process: subprocess.Popen[bytes]) -> None:
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(family, timeout=10)
    for straggler in alive:
        straggler.kill()


def test_a_worker_is_killed_midway_and_the_bytes_are_those_of_a_local_run(small_study, tmp_path, certificate):
    texts = {f"S{i:02}_{'BW'[i % 2]}": f"value {30 + i}\nfirst sleep 0.1\nsecond sleep 0.1" for i in range(30)}
    study = small_study(**{**texts, "S99_B": "PNG"})
    sheet, out, diary = study.write(), tmp_path / "out", tmp_path / "diary"
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"tls://127.0.0.1:{free.getsockname()[1]}"
    tls = [word for pair in certificate.items() for word in pair]
    local = ["--host", "127.0.0.1", "--no-dashboard"]
    client = {
        **os.environ,
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": certificate["--tls-ca-file"],
        "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT": certificate["--tls-cert"],
        "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY": certificate["--tls-key"],
    }
    port = address.rpartition(":")[2]
    started = [start([*DASK, "scheduler", "--protocol", "tls", "--port", port, *local, *tls], tmp_path)]
    try:
        # One has two threads: tubes side by side in one worker have processes of their own all the same.
        started += [start([*DASK, "worker", address, "--nthreads", n, *local, *tls], tmp_path) for n in ("1", "2")]
        command = [sys.executable, str(DRIVE), str(sheet), str(out), "0", address]
        run = subprocess.Popen(command, env=client, stderr=subprocess.PIPE, text=True)
        assert run.stderr is not None
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and run.poll() is None:
            if diary.exists() and diary.read_text().count("\n") > 8:
                break
            time.sleep(0.05)
        assert run.poll() is None
        victims = psutil.Process(started[1].pid).children(recursive=True)
        started[1].kill()  # the nanny first, so that nobody starts the worker again
        for victim in victims:
            victim.kill()
        said = run.communicate(timeout=240)[1]
        assert run.returncode == 5, said
        # Without the certificate nobody is let in.
        refused = subprocess.run(
            [*command[:3], str(tmp_path / "other"), "0", address], capture_output=True, text=True, timeout=120
        )
        assert refused.returncode == 74
        assert "TLS settings of Dask" in refused.stderr
    finally:
        for process in reversed(started):
            end(process)
    assert set(study.diary()) >= {f"{name} {stage}" for name in texts for stage in ("first", "second")}
    study.run("local", workers=0)
    for name in TABLES:
        assert (out / name).read_bytes() == (tmp_path / "local" / name).read_bytes(), name
