"""Traefik's stand-in on real nodes, asked from a Scout host: what is served, to whom, and with which certificate."""

import base64
import json
from pathlib import Path

import pytest

from tests.lab.k3s_cluster import Cluster, Object, cluster, pod_spec, wait, workload

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
__all__ = ["cluster"]  # the fixture

HOST = "ollama.phi.example.edu"
SPACE = "web"
HEARD = "/root/heard"
ROUTER = "traefik.ingress.kubernetes.io/router."
# Answers any path; /slow sends a line, waits until the file is there, and sends another.
SERVER = """
import http.server, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(f"{self.path} for {self.headers['X-Real-Ip']}\\n".encode()); self.wfile.flush()
        while self.path == "/slow" and not os.path.exists("/gate/open"): time.sleep(0.05)
        if self.path == "/slow": self.wfile.write(b"end\\n")
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""


def backend() -> list[Object]:
    spec = pod_spec(
        readinessProbe={"httpGet": {"port": 8080, "path": "/"}, "periodSeconds": 1},
        volumeMounts=[{"name": "gate", "mountPath": "/gate"}],
    )
    spec["containers"][0]["command"] = ["python3", "-c", SERVER]
    spec["volumes"] = [{"name": "gate", "hostPath": {"path": "/srv/gate", "type": "DirectoryOrCreate"}}]
    service: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": SPACE},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    }
    return [workload("DaemonSet", SPACE, "web", {**spec, "terminationGracePeriodSeconds": 0}), service]


def ingress(middlewares: str = "", host: str = HOST, name: str = "web") -> Object:
    annotations = {ROUTER + "entrypoints": "websecure", ROUTER + "tls": "true"}
    if middlewares:
        annotations[ROUTER + "middlewares"] = middlewares
    target = {"service": {"name": "web", "port": {"name": "http"}}}
    paths = [{"path": path, "pathType": kind, "backend": target} for path, kind in PATHS]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": SPACE, "annotations": annotations},
        "spec": {"tls": [{"hosts": [host], "secretName": "tls"}], "rules": [{"host": host, "http": {"paths": paths}}]},
    }


PATHS = (("/api/tags", "Exact"), ("/v1/", "Prefix"), ("/slow", "Exact"))


def allow(*sources: str) -> Object:
    return {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "Middleware",
        "metadata": {"name": "allow", "namespace": SPACE},
        "spec": {"ipAllowList": {"sourceRange": list(sources)}},
    }


def tls_secret(site: Path) -> Object:
    data = {
        name: base64.b64encode((site / f"secrets/phi.{end}").read_bytes()).decode()
        for name, end in (("tls.crt", "crt"), ("tls.key", "key"))
    }
    metadata = {"name": "tls", "namespace": SPACE}
    return {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata, "data": data}


class Client:
    """curl on the Scout host, which trusts the lab's CA."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        cluster.client.run(["tee", "/root/ca.crt"], input=(cluster.lab.site / "secrets/ca.crt").read_text())

    def curl(self, url: str, node: str = "phi-gpu-1") -> tuple[int, str]:
        """(HTTP status, body); status 0 when there was no answer, then the body is curl's error."""
        address = self.cluster.lab.host(node).address
        resolve = f"{HOST}:443:{address},{HOST}:80:{address}"
        named = [word for item in resolve.split(",") for word in ("--resolve", item)]
        command = ["curl", "-sS", "--cacert", "/root/ca.crt", "--max-time", "3", "-w", "\n%{http_code}", *named, url]
        done = self.cluster.client.run(command, check=False)
        body, _, status = done.stdout.rpartition("\n")
        return int(status or 0), body if done.returncode == 0 else done.stderr

    def becomes(self, status: int, url: str = f"https://{HOST}/api/tags", node: str = "phi-gpu-1") -> str:
        """The body of the first answer with that status; the next one a replaced pod may leave unanswered."""

        def answer() -> tuple[int, str] | None:
            told = self.curl(url, node)
            return told if told[0] == status else None

        return wait(answer, lambda: f"{self.curl(url, node)}\n{self.log()}\n{self.cluster.story('kube-system')}")[1]

    def says(self, words: str) -> None:
        """Wait for Traefik's log to say it."""
        wait(lambda: words in self.log(), self.log)

    def log(self) -> str:
        return self.cluster.kubectl(
            "-n", "kube-system", "logs", "-l", "app.kubernetes.io/name=traefik", "--tail=-1", check=False
        )

    def certificate(self, name: str) -> str:
        """Subject and issuer of what is served to a client that asks for `name`."""
        server_name = ["-servername", name] if name else ["-noservername"]
        connect = ["openssl", "s_client", "-connect", f"{self.cluster.server.address}:443", *server_name]
        served = self.cluster.client.run(connect).stdout
        return self.cluster.client.run(["openssl", "x509", "-noout", "-subject", "-issuer"], input=served).stdout


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Client:
    """The backend is up and reachable through the ingress, by everybody."""
    cluster.namespace(SPACE)
    cluster.apply(*backend(), tls_secret(cluster.lab.site), ingress())
    made = Client(cluster)
    cluster.ready_pods(SPACE, 2)
    made.becomes(200)
    return made


def test_the_given_certificate_is_served_and_only_for_its_name(client: Client) -> None:
    assert "CN = ollama.phi.example.edu" in client.certificate(HOST)
    assert "TRAEFIK DEFAULT CERT" in client.certificate("other.example.edu")
    assert "TRAEFIK DEFAULT CERT" in client.certificate("")


def test_only_the_paths_of_the_ingress_are_served(client: Client) -> None:
    assert client.curl(f"https://{HOST}/v1/models")[0] == 200
    for path in ("/", "/api/pull", "/api/tags/more", "/v1"):
        assert client.curl(f"https://{HOST}{path}") == (404, "404 page not found\n"), path


def test_a_path_may_hold_any_sign(client: Client) -> None:
    odd = ingress(host=f"odd.{HOST}", name="odd")
    odd["spec"]["rules"][0]["http"]["paths"][0] |= {"path": "/it's-#1-{$}", "pathType": "Prefix"}
    client.cluster.apply(odd)
    command = ["curl", "-sk", "--resolve", f"odd.{HOST}:443:{client.cluster.server.address}"]
    url = f"https://odd.{HOST}/it's-%231-{{$}}/more"
    wait(lambda: "/more for" in client.cluster.client.run([*command, "--globoff", url], check=False).stdout, client.log)
    assert client.curl(f"https://{HOST}/api/tags")[0] == 200


def test_plain_http_serves_nothing(client: Client) -> None:
    assert client.curl(f"http://{HOST}/api/tags") == (404, "404 page not found\n")


def test_every_node_answers_for_one_traefik(client: Client) -> None:
    assert [client.curl(f"https://{HOST}/api/tags", node)[0] for node in ("phi-gpu-1", "phi-gpu-2")] == [200, 200]


def test_a_missing_middleware_takes_the_route_away(client: Client) -> None:
    client.cluster.apply(ingress("web-allow@kubernetescrd"))
    client.becomes(404)
    client.says('middleware "web-allow@kubernetescrd" does not exist')


def test_a_middleware_unknown_to_the_stand_in_takes_the_route_away(client: Client) -> None:
    odd = {**allow(), "metadata": {"name": "odd", "namespace": SPACE}, "spec": {"compress": {}}}
    client.cluster.apply(odd, ingress("web-odd@kubernetescrd"))
    client.says('invalid middleware "web-odd@kubernetescrd"')
    client.becomes(404)


def test_an_allow_list_sees_the_client_only_with_traffic_policy_local(client: Client) -> None:
    address = client.cluster.client.address
    client.cluster.apply(allow(f"{address}/32"), ingress("web-allow@kubernetescrd"))
    assert client.becomes(403) == "Forbidden"  # the node's address stands for every client
    values = "deployment: {kind: DaemonSet}\nservice: {spec: {externalTrafficPolicy: Local}}\n"
    client.cluster.apply(
        {
            "apiVersion": "helm.cattle.io/v1",
            "kind": "HelmChartConfig",
            "metadata": {"name": "traefik", "namespace": "kube-system"},
            "spec": {"valuesContent": values},
        }
    )
    for node in ("phi-gpu-1", "phi-gpu-2"):
        assert f"/api/tags for {address}" in client.becomes(200, node=node)
    client.cluster.apply(allow("192.0.2.0/24"))
    client.becomes(403)
    client.cluster.apply(allow(f"{address}/32"))
    client.becomes(200)


def test_with_local_a_node_without_traefik_keeps_silent(client: Client) -> None:
    pods = json.loads(client.cluster.kubectl("-n", "kube-system", "get", "pods", "-o", "json"))["items"]
    assert {p["spec"]["nodeName"] for p in pods} == {"phi-gpu-1", "phi-gpu-2"}
    client.cluster.kubectl("taint", "node", "phi-gpu-2", "maintenance=yes:NoExecute")
    try:
        client.becomes(0, node="phi-gpu-2")
        assert "timed out" in client.curl(f"https://{HOST}/api/tags", "phi-gpu-2")[1]
        assert client.curl(f"https://{HOST}/api/tags", "phi-gpu-1")[0] == 200
        balancer = client.cluster.get("service", "traefik", "kube-system")["status"]["loadBalancer"]["ingress"]
        assert [b["ip"] for b in balancer] == [client.cluster.server.address]
    finally:
        client.cluster.kubectl("taint", "node", "phi-gpu-2", "maintenance-")
    client.becomes(200, node="phi-gpu-2")


def test_a_stream_outlives_a_change_of_the_configuration(client: Client) -> None:
    address = client.cluster.server.address
    slow = f"curl -sN --cacert /root/ca.crt --resolve {HOST}:443:{address} https://{HOST}/slow"
    client.cluster.client.run(["sh", "-c", f"{slow} > {HEARD} 2>&1 &"])
    wait(lambda: client.cluster.client.run(["cat", HEARD]).stdout.startswith("/slow"))  # not buffered
    client.cluster.apply(ingress("web-allow@kubernetescrd", "new.example.edu", "new"))
    new = f"https://new.example.edu:443/api/tags --resolve new.example.edu:443:{address}"
    wait(
        lambda: (
            "200" in client.cluster.client.run(["curl", "-sk", "-w", "%{http_code}", *new.split()], check=False).stdout
        )
    )
    for node in client.cluster.gpu_hosts:
        node.run(["touch", "/srv/gate/open"])
    wait(lambda: client.cluster.client.run(["cat", HEARD]).stdout.endswith("end\n"))


def test_changes_in_quick_succession_lose_no_connection_and_leave_one_haproxy(client: Client) -> None:
    server, scout = client.cluster.server, client.cluster.client
    resolve = f"--resolve {HOST}:443:{server.address}"
    curl = f"curl -s -o /dev/null --cacert /root/ca.crt -w '%{{http_code}}\\n' {resolve} https://{HOST}/api/tags"
    scout.run(["sh", "-c", f"(until [ -e /root/enough ]; do {curl}; done; echo end) >{HEARD} 2>&1 </dev/null &"])
    wait(lambda: scout.run(["cat", HEARD]).stdout.startswith("200"))
    client.cluster.apply(*(ingress(host=f"{number}.example.edu", name=f"more-{number}") for number in range(40)))
    last = ["--resolve", f"39.example.edu:443:{server.address}", "https://39.example.edu/api/tags"]
    wait(lambda: "200" in scout.run(["curl", "-sk", "-w", "%{http_code}", *last], check=False).stdout)
    wait(lambda: server.run(["pgrep", "--exact", "--count", "haproxy"]).stdout == "1\n")
    scout.run(["touch", "/root/enough"])
    wait(lambda: scout.run(["cat", HEARD]).stdout.endswith("end\n"))
    assert set(scout.run(["cat", HEARD]).stdout.split()) == {"200", "end"}


def test_without_ready_endpoints_the_answer_is_503(client: Client) -> None:
    selector = {"spec": {"template": {"spec": {"nodeSelector": {"no": "node"}}}}}
    client.cluster.kubectl("-n", SPACE, "patch", "daemonset", "web", "-p", json.dumps(selector))
    assert client.becomes(503) == "no available server\n"


def test_a_secret_that_is_gone_leaves_the_default_certificate(client: Client) -> None:
    client.cluster.kubectl("-n", SPACE, "delete", "secret", "tls")
    wait(lambda: "TRAEFIK DEFAULT CERT" in client.certificate(HOST))
    client.says("secret web/tls does not exist")
