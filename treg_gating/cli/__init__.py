"""The command line: arguments and exit codes; no science. One file a command or group of commands."""

from treg_gating.cli.main import main

__all__ = ["main"]
