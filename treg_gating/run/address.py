"""Whether a scheduler answers at an address, and this program may speak to it."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

from treg_gating.errors import RunStateError

__all__ = ["check_address"]


def check_address(address: str, seconds: float) -> None:
    """Say what is wrong before Dask would, which takes half a minute and a traceback for it.

    Parameters
    ----------
    seconds : how long to wait for an answer; a scheduler may just be starting.

    Raises
    ------
    RunStateError : nobody listens there, or Dask has no certificate to show.
    """
    from distributed.security import Security

    place = urlsplit(address)
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((place.hostname or "", place.port or 8786), timeout=seconds).close()
            break
        except (OSError, ValueError) as error:
            if time.monotonic() > deadline:
                msg = f"no Dask scheduler answers at {address} ({error}). Check the address"
                raise RunStateError(msg) from error
        time.sleep(0.2)
    if place.scheme == "tls" and Security().get_connection_args("client").get("ssl_context") is None:
        msg = (
            f"{address} wants TLS, and the TLS settings of Dask name no certificate for this program. "
            "Set distributed.comm.tls.ca-file and distributed.comm.tls.client (docs/cluster.md)"
        )
        raise RunStateError(msg)
