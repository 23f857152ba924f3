"""What becomes of Ingress and Middleware objects: who gets which requests, and what Traefik leaves out and logs."""

import base64
from pathlib import Path

import pytest

from lab.standins.ingress import certificates, haproxy
from lab.standins.ingress.routes import AllowList, Cluster, Object, Router, routers

ROUTER = "traefik.ingress.kubernetes.io/router."


def ingress(*paths: Object, host: str = "ollama.example.edu", name: str = "ollama", **annotations: str) -> Object:
    spec: Object = {"ingressClassName": "traefik", "rules": [{"host": host, "http": {"paths": list(paths)}}]}
    spec["tls"] = [{"hosts": [host], "secretName": "tls"}]
    return {
        "metadata": {
            "name": name,
            "namespace": "ollama",
            "annotations": {ROUTER + key: value for key, value in annotations.items()},
        },
        "spec": spec,
    }


def path(text: str = "/", kind: str = "Prefix", service: str = "ollama", port: int = 11434) -> Object:
    return {"path": text, "pathType": kind, "backend": {"service": {"name": service, "port": {"number": port}}}}


def middleware(name: str, **spec: object) -> Object:
    return {"metadata": {"name": name, "namespace": "ollama"}, "spec": spec}


def cluster(
    *ingresses: Object, middlewares: tuple[Object, ...] = (), ready: tuple[str, ...] = ("10.42.1.5",)
) -> Cluster:
    return Cluster(
        ingresses=list(ingresses),
        ingress_classes=[{"metadata": {"name": "traefik"}, "spec": {"controller": "traefik.io/ingress-controller"}}],
        middlewares=list(middlewares),
        services=[
            {
                "metadata": {"name": "ollama", "namespace": "ollama"},
                "spec": {"ports": [{"name": "http", "port": 11434}]},
            }
        ],
        endpoint_slices=[
            {
                "metadata": {"namespace": "ollama", "labels": {"kubernetes.io/service-name": "ollama"}},
                "ports": [{"name": "http", "port": 11434}],
                "endpoints": [{"addresses": [a], "conditions": {"ready": True}} for a in ready]
                + [{"addresses": ["10.42.9.9"], "conditions": {"ready": False}}],
            }
        ],
    )


def one(made_of: Object, *middlewares: Object) -> Router:
    (made,), problems = routers(cluster(made_of, middlewares=middlewares))
    assert problems == []
    return made


def problem(made_of: Object, *middlewares: Object) -> str:
    made, problems = routers(cluster(made_of, middlewares=middlewares))
    assert made == []
    return problems[0]


def test_a_router_leads_to_the_ready_endpoints() -> None:
    made = one(ingress(path()))
    assert made.servers == ("10.42.1.5:11434",)
    assert made.serves("web")
    assert made.serves("websecure")


def test_without_the_entry_points_annotation_plain_http_is_served_too() -> None:
    assert one(ingress(path())).serves("web")
    assert not one(ingress(path(), entrypoints="websecure")).serves("web")
    assert not one(ingress(path(), tls="true")).serves("web")  # a TLS router answers no plain request


def test_an_unknown_entry_point_leaves_the_router_out() -> None:
    assert "EntryPoint doesn't exist" in problem(ingress(path(), entrypoints="secure"))


def test_a_missing_middleware_leaves_the_router_out() -> None:
    assert problem(ingress(path(), middlewares="ollama-allow@kubernetescrd")) == (
        'ollama/ollama: middleware "ollama-allow@kubernetescrd" does not exist'
    )


def test_a_middleware_needs_its_namespace_and_provider() -> None:
    allow = middleware("allow", ipAllowList={"sourceRange": ["10.0.0.0/8"]})
    for wrong in ("allow@kubernetescrd", "ollama-allow", "allow"):
        assert "does not exist" in problem(ingress(path(), middlewares=wrong), allow)


def test_an_allow_list() -> None:
    allow = middleware("allow", ipAllowList={"sourceRange": ["10.0.0.7", "192.168.0.0/16"]})
    made = one(ingress(path(), middlewares="ollama-allow@kubernetescrd"), allow)
    assert made.allow == (AllowList(("10.0.0.7/32", "192.168.0.0/16")),)


def test_a_chain_of_middlewares() -> None:
    allow = middleware("allow", ipAllowList={"sourceRange": ["10.0.0.0/8"], "rejectStatusCode": 404})
    chain = middleware("all", chain={"middlewares": [{"name": "allow"}]})
    made = one(ingress(path(), middlewares="ollama-all@kubernetescrd"), allow, chain)
    assert made.allow == (AllowList(("10.0.0.0/8",), 404),)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"buffering": {"maxRequestBodyBytes": 1}}, "invalid middleware type"),
        ({"ipWhiteList": {"sourceRange": ["10.0.0.0/8"]}}, "invalid middleware type"),  # Traefik 2's name
        ({}, "invalid middleware type"),
        ({"ipAllowList": {"sourceRange": []}}, "sourceRange is empty"),
        ({"ipAllowList": {"sourceRange": ["10.0.0.300/8"]}}, "cannot parse CIDRs"),
        (
            {"ipAllowList": {"sourceRange": ["10.0.0.0/8"], "ipStrategy": {"depth": 1}}},
            "does not know ipAllowList.ipStrategy",
        ),
    ],
)
def test_a_middleware_that_cannot_be_served_is_never_ignored(spec: Object, words: str) -> None:
    odd = middleware("odd", **spec)
    assert words in problem(ingress(path(), middlewares="ollama-odd@kubernetescrd"), odd)


def test_a_service_or_port_that_is_not_there_leaves_the_router_out() -> None:
    assert "kubernetes service not found" in problem(ingress(path(service="none")))
    assert "service port not found" in problem(ingress(path(port=80)))


def test_the_longest_rule_is_tried_first() -> None:
    made, _ = routers(cluster(ingress(path("/"), path("/api/tags", "Exact"), path("/api/ta"))))
    # PathPrefix(`/api/ta`) is longer than Path(`/api/tags`): Traefik's own surprise, for which it has a priority.
    assert [r.path for r in made] == ["/api/ta", "/api/tags", "/"]
    urgent = ingress(path("/api/tags", "Exact"), name="urgent", priority="100")
    assert routers(cluster(ingress(path("/api/ta")), urgent))[0][0].path == "/api/tags"


def test_an_annotation_that_this_stand_in_cannot_honour_is_never_ignored() -> None:
    assert "does not know" in problem(ingress(path(), **{"tls.options": "ollama-strict@kubernetescrd"}))


def test_another_ingress_class_is_not_ours() -> None:
    other = ingress(path())
    other["spec"]["ingressClassName"] = "nginx"
    assert routers(cluster(other)) == ([], [])


def config(made_of: Cluster) -> list[str]:
    text = haproxy.render(routers(made_of)[0], "/run/traefik")
    return [line.strip() for line in text.splitlines()]


def test_the_configuration_of_haproxy() -> None:
    allow = middleware("allow", ipAllowList={"sourceRange": ["10.0.0.0/8"]})
    made = ingress(path("/api/tags", "Exact"), entrypoints="websecure", middlewares="ollama-allow@kubernetescrd")
    lines = config(cluster(made, middlewares=(allow,)))
    secure = lines[lines.index("frontend websecure") : lines.index("backend ollama_ollama_0")]
    plain = lines[lines.index("frontend web") : lines.index("frontend websecure")]
    matched = "{ var(txn.host) -m str 'ollama.example.edu' } { path,url_dec -m str '/api/tags' }"
    assert (
        f"http-request set-var(txn.router) str(ollama_ollama_0) if !{{ var(txn.router) -m found }} {matched}" in secure
    )
    assert any(line.startswith("http-request return status 403") and "!{ src 10.0.0.0/8 }" in line for line in secure)
    assert "use_backend ollama_ollama_0 if { var(txn.router) -m str ollama_ollama_0 }" in secure
    assert not any("use_backend" in line for line in plain)
    assert "server 10.42.1.5_11434 10.42.1.5:11434" in lines


def test_no_ready_endpoint_is_503() -> None:
    lines = config(cluster(ingress(path()), ready=()))
    assert any(line.startswith("http-request return status 503") for line in lines)


def secret(certificate: bytes, key: bytes) -> Object:
    data = {"tls.crt": base64.b64encode(certificate).decode(), "tls.key": base64.b64encode(key).decode()}
    return {"metadata": {"name": "tls", "namespace": "ollama"}, "data": data}


def test_only_a_certificate_with_its_own_key_is_served(tmp_path: Path) -> None:
    pairs = []
    for name in ("one", "two"):
        certificates.make_default(tmp_path / name)
        text = (tmp_path / name).read_text()
        cut = text.index("-----BEGIN PRIVATE KEY")
        pairs.append((text[:cut].encode(), text[cut:].encode()))
    made = cluster(ingress(path()))
    assert certificates.pems(made)[1] == ["Error configuring TLS error=secret ollama/tls does not exist"]
    made.secrets = [secret(pairs[0][0], pairs[0][1])]
    assert list(certificates.pems(made)[0]) == ["ollama_tls"]
    made.secrets = [secret(pairs[0][0], pairs[1][1])]
    served, problems = certificates.pems(made)
    assert served == {}
    assert "no usable tls.crt and tls.key" in problems[0]
