"""Reads, verifies and watches certificates, keys and authorities, and publishes them to the workers.

`certificates` reads PEM files, and `folders` finds them. `keyring` holds the certificates for clients and watches their
files. `peers` does the same for upstreams. `ocsp` verifies OCSP responses, and `stapler` fetches them. `expiry` warns
of certificates that expire.

May import: `machine`, `logs`.
Begin with: `keyring.py`.
"""
