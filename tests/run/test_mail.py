"""The mail at a run's end, against a server on loopback: what it says, and what it must not."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from treg_gating.errors import InputError
from treg_gating.run.mail import message_of, read_mail, send

SETTINGS = 'host = "127.0.0.1"\nport = {port}\nsecurity = "none"\nfrom = "treg@example.org"\nto = ["lab@example.org"]\n'


class Server:
    """A mail server for one connection, as far as the protocol is needed."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(60)
        self.port = self._socket.getsockname()[1]
        self.text = ""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError:
            return
        connection.settimeout(30)
        with connection, connection.makefile("rwb", buffering=0) as talk:
            talk.write(b"220 loopback\r\n")
            while line := talk.readline():
                word = line[:4].upper()
                if word == b"DATA":
                    talk.write(b"354 go on\r\n")
                    lines = iter(talk.readline, b".\r\n")
                    self.text = b"".join(lines).decode()
                    talk.write(b"250 taken\r\n")
                elif word == b"QUIT":
                    talk.write(b"221 bye\r\n")
                    return
                else:
                    talk.write(b"250 loopback\r\n")

    def close(self) -> None:
        self._socket.close()
        self._thread.join(timeout=30)


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


def mail_toml(folder: Path, port: int, more: str = "") -> Path:
    path = folder / "mail.toml"
    path.write_text(SETTINGS.format(port=port) + more)
    return path


def test_a_mail_names_subjects_and_visits_and_nothing_else(server, tmp_path):
    settings = read_mail(mail_toml(tmp_path, server.port))
    attention = (("S01", "Week 4", "failed"), ("S02", "Baseline", "review"), ("", "", "review"))
    assert send(settings, message_of(settings, "NCT05605665", 5, "3f2a", attention)) == ""
    server.close()
    head, _, body = server.text.replace("\r\n", "\n").partition("\n\n")
    assert "Subject: treg-gating NCT05605665: samples failed (exit code 5)" in head
    assert "To: lab@example.org" in head
    assert "Failed (1): S01 Week 4" in body
    assert "Need review (2): S02 Baseline; a control" in body


def test_a_server_that_is_not_there_fails_no_run(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    settings = read_mail(mail_toml(tmp_path, port))
    assert "could not be sent" in send(settings, message_of(settings, "", 0))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('host = "x"', "from"),
        ('host = "x"\nfrom = "a"\nto = []', "to"),
        ('host = "x"\nfrom = "a"\nto = ["b"]\nsecurity = "ssl"', "starttls or tls or none"),
        ('host = "x"\nfrom = "a"\nto = ["b"]\npassword = "p"', "password_file"),
        ('host = "x"\nfrom = "a"\nto = ["b"]\npassword_file = "absent"', "password_file"),
        ("host = x", "cannot be read"),
    ],
)
def test_faults_of_the_settings(tmp_path, text, said):
    path = tmp_path / "mail.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_mail(path)


def test_the_password_stands_in_a_file_of_its_own(tmp_path):
    (tmp_path / "secret").write_text("s3cret\n")
    path = mail_toml(tmp_path, 25, 'user = "lab"\npassword_file = "secret"\n')
    assert read_mail(path).password == "s3cret"


def test_a_run_that_cannot_begin_writes_too_and_names_no_file(server, tmp_path):
    mail_toml(tmp_path, server.port)
    command = [sys.executable, "-m", "treg_gating", "run", "absent.csv", "--mail", "mail.toml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    server.close()
    assert "stopped: the sample sheet has faults (exit code 3)" in server.text
    assert "absent.csv" not in server.text
