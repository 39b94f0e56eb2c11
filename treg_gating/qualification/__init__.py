"""Qualification of an installation: it is what was released (IQ), and works as released (OQ)."""
