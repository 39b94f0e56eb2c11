"""Reading and writing FCS files; the codes of errors and warnings are in :mod:`treg_gating.fcs.codes`."""

from treg_gating.fcs.reader import FCSFile, FCSHeader, open_fcs, read_fcs, read_header
from treg_gating.fcs.writer import write_fcs

__all__ = ["FCSFile", "FCSHeader", "open_fcs", "read_fcs", "read_header", "write_fcs"]
