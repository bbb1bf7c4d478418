"""One request and its response.

`request` checks a head, finds its route and gives it to who answers: `serve` (a file), `proxy` (an upstream)
or `exchange` (an answer of our own: redirect, error). `exchange` is also how every one of them ends. `tunnel`
is what follows 101.

May import: `connection` and all below it.
Begin with: `exchange.pxd`, `request.py`.
"""
