"""K3s's Helm controller: a real helm in a Job, with the ways in which its end can be misread."""

import gzip
import io
import json
import re
import tarfile
from collections.abc import Iterator

import pytest

from lab import chart
from lab.standins.k3s import helm_job
from tests.lab.gpu_cluster import HELM_FAULT, cluster, fault, find, has, helm_chart
from tests.lab.k3s_cluster import Cluster, Object, wait

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
__all__ = ["cluster"]  # the fixture
HASH = "helmcharts.helm.cattle.io/configHash"
LABEL = "helmcharts.helm.cattle.io/chart"
TEMPLATES = {
    "thing.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: thing}, data: {word: {{ .Values.word }}}}",
    "bad.yaml": "{{ if .Values.bad }}{apiVersion: v1, kind: ConfigMap, metadata: {name: Bad_Name}}{{ end }}",
    "hook.yaml": """\
{{ if .Values.hook }}
apiVersion: batch/v1
kind: Job
metadata: {name: hook, annotations: {helm.sh/hook: pre-upgrade}}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: docker.io/nobody/nothing:1}]}}}
{{ end }}""",
}


def small_chart(crd_column: str = "One") -> bytes:
    """A chart of a ConfigMap, with a custom kind in crds/."""
    names = {"kind": "Gadget", "plural": "gadgets", "singular": "gadget", "listKind": "GadgetList"}
    column = {"name": crd_column, "type": "string", "jsonPath": ".spec.x"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema, "additionalPrinterColumns": [column]}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.example.edu"},
        "spec": {"group": "example.edu", "names": names, "scope": "Cluster", "versions": [version]},
    }
    files = {
        "Chart.yaml": "{apiVersion: v2, name: small, version: 1.0.0}",
        "values.yaml": "{word: first, bad: false, hook: false}",
        "crds/gadget.yaml": json.dumps(definition),
        **{f"templates/{name}": text for name, text in TEMPLATES.items()},
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"small/{name}")
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(archive.getvalue(), mtime=0)


def hash_of(job: Object) -> str:
    """The configHash that a release of this Job has as its label."""
    annotation: str = job["spec"]["template"]["metadata"]["annotations"][HASH]
    return annotation.removeprefix("SHA256=")[:63]


class Release:
    """A HelmChart of the small chart under a name of its own, which is its namespace too."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.wanted = ""

    def apply(self, values: str = "", content: bytes | None = None, **spec: object) -> None:
        made = helm_chart(content or small_chart(), values, self.name, targetNamespace=self.name, **spec)
        made["spec"]["valuesContent"] = values
        self.wanted = hash_of(helm_job.build(made, None)[0])
        self.cluster.apply(made)

    def installed(self, values: str, content: bytes | None = None, **spec: object) -> Object:
        """Apply it, and wait for the Job that has installed it."""
        self.apply(values, content, **spec)
        return self.done()

    def done(self) -> Object:
        """The Job that has ended well, with what the chart is now."""

        def done() -> Object | None:
            job = self.job()
            return job if job and hash_of(job) == self.wanted and has(job, "Complete") else None

        job = wait(done, self.story)
        assert job
        (newest,) = self.releases()[-1:]
        assert (newest["status"], newest[HASH]) == ("deployed", hash_of(job))
        return job

    def job(self, kind: str = "install") -> Object | None:
        return find(self.cluster, "job", f"helm-{kind}-{self.name}", "kube-system")

    def chart(self) -> Object | None:
        return find(self.cluster, "helmchart", self.name, "kube-system")

    def thing(self) -> Object:
        return self.cluster.get("configmap", "thing", self.name)

    def releases(self) -> list[dict[str, str]]:
        """The labels of the release Secrets, oldest first."""
        query = ["-n", self.name, "get", "secrets", "-l", f"owner=helm,name={self.name}", "-o", "json"]
        secrets: list[Object] = json.loads(self.cluster.kubectl(*query))["items"]
        assert {s["type"] for s in secrets} <= {"helm.sh/release.v1"}
        labels = sorted((s["metadata"]["labels"] for s in secrets), key=lambda found: int(found["version"]))
        assert {s["metadata"]["name"] for s in secrets} == {
            f"sh.helm.release.v1.{self.name}.v{found['version']}" for found in labels
        }
        return labels

    def log(self) -> str:
        return self.cluster.kubectl("-n", "kube-system", "logs", f"job/helm-install-{self.name}", check=False)

    def says(self, words: str) -> str:
        """The Job's log, once it says that. A later try begins a new one."""
        return wait(lambda: log if words in (log := self.log()) else "", self.story)

    def story(self) -> str:
        return (
            f"{self.log()}\n{json.dumps(self.chart(), indent=1)[-2000:]}\n{self.cluster.story('kube-system')[-3000:]}"
        )


@pytest.fixture
def release(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Release]:
    """A release named after the test."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_"))[:40].strip("-")
    yield Release(cluster, name)
    cluster.kubectl("-n", "kube-system", "delete", "helmchart", name, "--ignore-not-found", "--wait=false")


def test_installs(release: Release) -> None:
    job = release.installed("word: hello")
    assert release.thing()["data"] == {"word": "hello"}
    assert "STATUS: deployed" in release.log()
    template = job["spec"]["template"]
    assert job["metadata"]["labels"][LABEL] == template["metadata"]["labels"][LABEL] == release.name
    assert (job["spec"]["backoffLimit"], template["spec"]["restartPolicy"]) == (1, "OnFailure")
    assert template["metadata"]["annotations"][HASH].startswith("SHA256=")
    (made,) = release.releases()
    assert (made["status"], made["version"], made[HASH]) == ("deployed", "1", hash_of(job))
    status = (release.chart() or {})["status"]
    assert status["jobName"] == f"helm-install-{release.name}"
    assert {c["type"]: c["status"] for c in status["conditions"]} == {"JobCreated": "True", "Failed": "False"}


def test_what_is_not_said_is_the_controller_s_default(release: Release) -> None:
    made = helm_chart(small_chart(), "word: x", release.name, targetNamespace=release.name)
    for key in ("backOffLimit", "failurePolicy"):
        del made["spec"][key]
    release.cluster.apply(made)
    job = wait(release.job, release.story)
    assert job
    assert job["spec"]["backoffLimit"] == 1000
    variables = {e["name"]: e.get("value") for e in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert variables["FAILURE_POLICY"] == "reinstall"


def test_the_old_job_is_complete_for_a_while_after_a_change(release: Release) -> None:
    old = release.installed("word: one")
    release.apply("word: two")
    still = release.job()
    assert still
    assert still["metadata"]["uid"] == old["metadata"]["uid"]
    assert has(still, "Complete")
    assert release.thing()["data"] == {"word": "one"}
    new = release.done()
    assert release.thing()["data"] == {"word": "two"}
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert [r["status"] for r in release.releases()] == ["superseded", "deployed"]


def test_nothing_happens_without_a_change(release: Release) -> None:
    before = release.installed("word: same")
    generation = (release.chart() or {})["metadata"]["generation"]
    release.apply("word: same")
    release.cluster.server.run(["systemctl", "restart", "k3s"])
    wait(lambda: " Ready " in release.cluster.kubectl("get", "nodes", check=False))
    after = release.job()
    assert after
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert (release.chart() or {})["metadata"]["generation"] == generation


@pytest.mark.parametrize(
    ("content", "values", "words"),
    [
        (b"not a chart", "", "does not appear to be a gzipped archive"),
        (chart.pack(truncated=True), "", "unable to load chart archive"),
        (None, "word: [", "failed to parse /config/values-0-000-HelmChart-ValuesContent.yaml"),
    ],
    ids=["no-archive", "truncated", "no-yaml"],
)
def test_says_what_helm_says(release: Release, content: bytes | None, values: str, words: str) -> None:
    release.apply(values, content, backOffLimit=6)
    assert "Error: " in release.says(words)
    status = (release.chart() or {})["status"]
    assert {c["type"]: c["status"] for c in status["conditions"]} == {"JobCreated": "True", "Failed": "False"}


def test_fails_only_at_its_back_off_limit_and_takes_its_log_with_it(release: Release) -> None:
    release.apply(content=b"not a chart")
    wait(lambda: has(release.chart(), "Failed"), release.story)
    assert has(release.job(), "Failed")
    assert has(release.chart(), "JobCreated")
    pods = ["-n", "kube-system", "get", "pods", "-l", f"{LABEL}={release.name}", "-o", "name"]
    wait(lambda: release.cluster.kubectl(*pods) == "", release.story)
    release.apply("word: better")  # another chart is another try
    wait(lambda: not has(release.chart(), "Failed"), release.story)
    release.done()


def test_a_fault_gives_helm_its_words(release: Release) -> None:
    fault(release.cluster.gpu_hosts, "Kubernetes cluster unreachable: the server is not there", HELM_FAULT)
    try:
        release.apply("word: x", backOffLimit=6)
        release.says("Error: Kubernetes cluster unreachable: the server is not there")
    finally:
        fault(release.cluster.gpu_hosts, "", HELM_FAULT)
    release.done()  # the Job tries again by itself


@pytest.mark.parametrize("policy", ["abort", "reinstall"])
def test_after_a_failed_release(release: Release, policy: str) -> None:
    release.installed("word: good")
    before = release.thing()["metadata"]["uid"]
    release.apply("word: bad\nbad: true", failurePolicy=policy)
    wait(lambda: has(release.chart(), "Failed"), release.story)
    if policy == "abort":  # another try may be on its way
        wait(lambda: release.releases()[-1]["status"] == "failed", release.story)
    # With reinstall the last try may have been stopped when it had uninstalled: there is no release then.
    release.installed("word: good again", failurePolicy=policy)
    assert (release.thing()["metadata"]["uid"] == before) is (policy == "abort")


def test_runs_out_of_time(release: Release) -> None:
    release.installed("word: x")
    release.apply("word: x\nhook: true", timeout="2s", backOffLimit=6)
    release.says("context deadline exceeded")
    assert release.releases()[-1]["status"] == "failed"


def test_a_config_wins_over_the_chart_s_values(release: Release) -> None:
    release.installed("word: chart")
    config = {
        "apiVersion": "helm.cattle.io/v1",
        "kind": "HelmChartConfig",
        "metadata": {"name": release.name, "namespace": "kube-system"},
        "spec": {"valuesContent": "word: config"},
    }
    release.cluster.apply(config)
    wait(lambda: release.thing()["data"] == {"word": "config"}, release.story)


def test_what_is_in_crds_is_installed_once(release: Release) -> None:
    def columns() -> str:
        where = "{.spec.versions[0].additionalPrinterColumns[*].name}"
        return release.cluster.kubectl("get", "crd", "gadgets.example.edu", "-o", f"jsonpath={where}")

    release.installed("word: x", content=small_chart("One"))
    before = columns()
    release.installed("word: z", content=small_chart("Two"))
    assert columns() == before == "One"


def test_uninstalls_when_it_is_deleted(release: Release) -> None:
    release.installed("word: x")
    release.cluster.kubectl("-n", "kube-system", "delete", "helmchart", release.name, "--timeout=40s")
    assert release.releases() == []
    assert find(release.cluster, "configmap", "thing", release.name) is None
    left = ("job", "sa", "configmap", "secret")
    wait(lambda: not any(release.name in release.cluster.kubectl("-n", "kube-system", "get", k) for k in left))
