"""Ringway: an HTTPS reverse proxy and static file server for Linux, in Python."""

__version__ = "0.1.0"
