"""Harbor's stand-in: Debian's docker-registry behind TLS, Harbor's token flow and a few of its own API calls.

Images are really pushed, stored and pulled. Where it differs from Harbor: projects are the first parts of the
repositories' names (those named `…-proxy` refuse uploads, as a proxy cache does, but fetch nothing from upstream),
tokens are its own and not JWTs, and there is no user interface, scanning, replication, quota or garbage collection.
"""
