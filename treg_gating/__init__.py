"""treg-gating: per-visit Treg proportions from flow-cytometry files."""

__version__ = "0.1.0"
