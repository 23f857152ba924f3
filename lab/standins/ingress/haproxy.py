"""haproxy's configuration for a list of routers. Pure."""

from collections.abc import Iterable

from lab.standins.ingress.routes import AllowList, Router

PORTS = {"web": 8000, "websecure": 8443}
PING_PORT = 8080
SOCKET = "haproxy.sock"
"""Where the process that serves hands its listening sockets over."""

# Streams and cold loads may be silent for long: Traefik's own defaults wait for ever, haproxy's longest is 24 days.
HEAD = """\
global
  stats socket {directory}/{socket} mode 600 level admin expose-fd listeners
  ssl-default-bind-options ssl-min-ver TLSv1.2
  log stdout format raw local0 err

defaults
  mode http
  log global
  option dontlognull
  retries 0
  timeout http-request 60s
  timeout http-keep-alive 180s
  timeout connect 30s
  timeout client 24d
  timeout server 24d
  timeout tunnel 24d
  errorfile 503 {directory}/bad-gateway.http

frontend ping
  bind :{ping}
  monitor-uri /ping
"""

# haproxy answers 503 when a server refuses the connection, Traefik 502.
BAD_GATEWAY = (
    "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 11\r\n\r\nBad Gateway"
)

TEXT = 'content-type "text/plain; charset=utf-8"'


def render(routers: list[Router], directory: str) -> str:
    """The whole configuration; `directory` holds haproxy.sock, bad-gateway.http, default.pem and certs/*.pem."""
    secure = f"ssl crt {directory}/default.pem crt {directory}/certs/ alpn h2,http/1.1"
    lines = [HEAD.format(directory=directory, socket=SOCKET, ping=PING_PORT)]
    lines += _frontend("web", "", [r for r in routers if r.serves("web")])
    lines += _frontend("websecure", secure, [r for r in routers if r.serves("websecure")])
    for router in routers:
        lines += _backend(router)
    return "\n".join(lines) + "\n"


def _frontend(name: str, tls: str, routers: list[Router]) -> Iterable[str]:
    yield f"frontend {name}"
    yield f"  bind :{PORTS[name]} {tls}".rstrip()
    yield "  http-request set-var(txn.host) req.hdr(host),field(1,:),lower"
    for router in routers:
        yield f"  http-request set-var(txn.router) str({router.name}) if {_condition(router)}"
    yield f'  http-request return status 404 {TEXT} string "404 page not found\\n" if !{{ var(txn.router) -m found }}'
    for router in routers:
        for allow in router.allow:
            yield f"  http-request {_reject(allow)} if {_chosen(router)} !{{ src {' '.join(allow.networks)} }}"
    yield "  http-request set-header X-Forwarded-For %[src]"
    yield f"  http-request set-header X-Forwarded-Proto {'https' if tls else 'http'}"
    yield "  http-request set-header X-Forwarded-Host %[req.hdr(host)]"
    yield "  http-request set-header X-Real-Ip %[src]"
    for router in routers:
        yield f"  use_backend {router.name} if {_chosen(router)}"
    yield ""


def _condition(router: Router) -> str:
    tests = ["!{ var(txn.router) -m found }"]
    if router.host.startswith("*."):
        tests.append(f"{{ var(txn.host) -m reg {_quoted('^[^.]+' + router.host[1:].replace('.', '[.]') + '$')} }}")
    elif router.host:
        tests.append(f"{{ var(txn.host) -m str {_quoted(router.host)} }}")
    tests.append(f"{{ path,url_dec -m {'str' if router.exact else 'beg'} {_quoted(router.path)} }}")
    return " ".join(tests)


def _chosen(router: Router) -> str:
    return f"{{ var(txn.router) -m str {router.name} }}"


def _reject(allow: AllowList) -> str:
    return f'return status {allow.reject_status} {TEXT} string "Forbidden"'


def _backend(router: Router) -> Iterable[str]:
    yield f"backend {router.name}"
    if not router.servers:
        yield f'  http-request return status 503 {TEXT} string "no available server\\n"'
    yield from (f"  server {address.replace(':', '_')} {address}" for address in router.servers)
    yield ""


def _quoted(text: str) -> str:
    """A word of haproxy's configuration: between single quotes nothing has a meaning."""
    return "'" + text.replace("'", "'\\''") + "'"
