"""One request and its response.

`request` checks a head, finds its route and passes the request on: to `serve` (a file), `proxy` (an upstream)
or `exchange` (Ringway's own response: a redirect or an error). Every exchange ends in `exchange`. `tunnel`
forwards bytes after a 101 response.

May import: `connection` and all below it.
Begin with: `exchange.pxd`, `request.py`.
"""
