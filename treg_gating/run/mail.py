"""One mail at a run's end: what came out, in counts, and which subjects and visits want a look. No values, no files.

::

    host = "smtp.example.org"
    port = 587                     # 465 for security = "tls"
    security = "starttls"          # or "tls", or "none" for a server on this computer
    user = "lab"                   # with password_file; both left out where the server asks for none
    password_file = "/etc/treg-gating/smtp-password"
    from = "treg-gating@example.org"
    to = ["lab@example.org"]
    when = "always"                # or "attention": only where the exit code is not 0
"""

from __future__ import annotations

import logging
import smtplib
import ssl
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from treg_gating.errors import InputError

__all__ = ["MailSettings", "message_of", "read_mail", "send"]

log = logging.getLogger(__name__)

_TIMEOUT = 30.0
_KEYS: Mapping[str, tuple[type, Any]] = {  # type and default; None: must be there
    "host": (str, None),
    "port": (int, 587),
    "security": (str, "starttls"),
    "user": (str, ""),
    "password_file": (str, ""),
    "from": (str, None),
    "to": (list, None),
    "when": (str, "always"),
}
_CHOICES = {"security": ("starttls", "tls", "none"), "when": ("always", "attention")}
_SHOWN = 50
_ENDS = {
    0: "all done",
    4: "samples need review",
    5: "samples failed",
    2: "stopped: usage or configuration",
    3: "stopped: the sample sheet has faults",
    74: "stopped: disk or input/output error",
    75: "not begun: another run is at work",
}


@dataclass(frozen=True, slots=True)
class MailSettings:
    """A mail server and whom to write to; see the module's words."""

    host: str
    port: int
    security: str
    user: str
    password: str
    sender: str
    to: tuple[str, ...]
    when: str


def read_mail(path: Path) -> MailSettings:
    """Read a mail.toml.

    Raises
    ------
    InputError : the first fault.
    """
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problem = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        raise InputError(problem, file=str(path), expected="a TOML file with host, from and to") from error
    found: dict[str, Any] = {}
    for key in given.keys() - _KEYS.keys():
        problem = "not a setting of a mail"
        raise InputError(problem, file=str(path), where=key, expected=", ".join(_KEYS))
    for key, (kind, default) in _KEYS.items():
        value = given.get(key, default)
        if type(value) is not kind or value == [] or (key in _CHOICES and value not in _CHOICES[key]):
            expected = " or ".join(_CHOICES.get(key, (kind.__name__,)))
            problem = "missing or wrong"
            raise InputError(problem, file=str(path), where=key, found=repr(value), expected=expected)
        found[key] = value
    sender, to = found.pop("from"), tuple(str(address) for address in found.pop("to"))
    password = _password(path, found.pop("password_file"))
    return MailSettings(**found, password=password, sender=sender, to=to)


def _password(path: Path, file: str) -> str:
    if not file:
        return ""
    try:
        return (path.parent / file).read_text("utf-8").strip()
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
        raise InputError(problem, file=str(path), where="password_file", found=file) from error


def message_of(
    settings: MailSettings, study: str, exit_code: int, run: str = "", attention: Sequence[tuple[str, str, str]] = ()
) -> EmailMessage:
    """The mail, without sending it.

    Parameters
    ----------
    study : the study's id; may be empty.
    run : the run's name; empty where none was begun.
    attention : (subject, visit, state) of tubes that failed or need review.
    """
    message = EmailMessage()
    end = _ENDS.get(exit_code, "stopped: an error")
    message["Subject"] = f"treg-gating {study}".strip() + f": {end} (exit code {exit_code})"
    message["From"], message["To"] = settings.sender, ", ".join(settings.to)
    lines = [f"Run {run} ended: {end} (exit code {exit_code})." if run else f"A run {end} (exit code {exit_code})."]
    for state, words in (("failed", "Failed"), ("review", "Need review")):
        places = [
            " ".join(filter(None, (subject, visit))) or "a control" for subject, visit, is_ in attention if is_ == state
        ]
        if places:
            more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
            lines += ["", f"{words} ({len(places)}): {'; '.join(places[:_SHOWN])}{more}"]
    lines += ["", "Values, reasons and files stand in the report in the run's folder, not in this mail."]
    message.set_content("\n".join(lines))
    return message


def send(settings: MailSettings, message: EmailMessage) -> str:
    """Send it; empty, or why it could not be sent. A mail that fails never fails a run."""
    try:
        _send(settings, message)
    except (OSError, smtplib.SMTPException) as error:
        log.warning("the mail could not be sent: %s", error)
        return f"The mail could not be sent by {settings.host}:{settings.port}: {error}"
    log.info("mail sent to %d addresses", len(settings.to))
    return ""


def _send(settings: MailSettings, message: EmailMessage) -> None:
    context = ssl.create_default_context()
    plain = settings.security != "tls"
    server = (
        smtplib.SMTP(settings.host, settings.port, timeout=_TIMEOUT)
        if plain
        else smtplib.SMTP_SSL(settings.host, settings.port, timeout=_TIMEOUT, context=context)
    )
    with server:
        if settings.security == "starttls":
            server.starttls(context=context)
        if settings.user:
            server.login(settings.user, settings.password)
        server.send_message(message)
