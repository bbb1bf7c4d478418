"""Certificates, keys and trust: read, judged, watched, published to the workers.

`certificates` reads PEM files, `folders` finds them, `keyring` holds those for clients and watches their files, `peers`
those for upstreams, `ocsp` and `stapler` fetch staples, `expiry` warns.

May import: `machine`, `logs`.
Begin with: `keyring.py`.
"""
