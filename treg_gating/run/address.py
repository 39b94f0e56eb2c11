"""Whether a scheduler answers at an address, and this program may speak to it."""

from __future__ import annotations

import asyncio
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
    RunStateError : nobody listens there, or no scheduler; or Dask has no certificate to show.
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
    try:
        asyncio.run(_greet(address, seconds))
    except (OSError, TimeoutError) as error:
        why = str(error) or f"something listens there and says nothing for {seconds:g} s"
        msg = f"no Dask scheduler answers at {address} ({why}). Check the address, and the TLS settings of Dask"
        raise RunStateError(msg) from error


async def _greet(address: str, seconds: float) -> None:
    """Dask's own greeting within a time: its client would wait for the answer for ever."""
    from distributed.comm import connect
    from distributed.security import Security

    known = Security().get_connection_args("client")
    comm = await asyncio.wait_for(connect(address, timeout=seconds, **known), seconds)
    comm.abort()
