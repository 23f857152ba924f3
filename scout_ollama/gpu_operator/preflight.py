"""What must hold before the GPU operator is installed: on each host, and in the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from scout_ollama.checks import Finding
from scout_ollama.errors import Trouble
from scout_ollama.facts import HostFacts
from scout_ollama.gpu_operator.state import NAMESPACE, RESOURCE, OperatorState
from scout_ollama.hints import on
from scout_ollama.inventory import GpuOperator, Host
from scout_ollama.manifests import KubeObject

NRI_K3S = (1, 33)
"""Oldest K3s whose containerd runs NRI plugins and that NVIDIA supports for it (its platform support, v26.3.0)."""


def of_host(host: Host, operator: GpuOperator, facts: HostFacts) -> Iterator[Finding]:
    """Return what does not hold on one host, by who installs the container toolkit."""
    if "gpu" not in host.roles:
        return
    runtime = facts.runtime
    if runtime.default == "nvidia" and runtime.toolkit is None:
        yield Finding(
            "default-runtime",
            host.name,
            "its K3s would not start again",
            "default-runtime is nvidia in /etc/rancher/k3s/config.yaml, and there is no nvidia-container-runtime",
            on(host, "sudo sed -i '/^default-runtime:/d' /etc/rancher/k3s/config.yaml"),
        )
    elif operator.toolkit == "host" and runtime.toolkit is None:
        yield Finding(
            "toolkit",
            host.name,
            "the NVIDIA container toolkit is not installed",
            "gpu_operator.toolkit is host, so nvidia-container-runtime must be there; K3s looks for it at its start",
            f"install the package nvidia-container-toolkit there; or edit {host.cluster}.yaml: gpu_operator.toolkit",
        )
    elif operator.toolkit == "operator" and not runtime.imports_drop_ins:
        yield Finding(
            "drop-ins",
            host.name,
            "its containerd reads no file beside the one that K3s renders",
            "the operator's toolkit tells containerd of the runtime by such a file; newer K3s import them",
            f"upgrade K3s there; or edit {host.cluster}.yaml: gpu_operator.toolkit: host",
        )
    elif operator.toolkit == "nri" and (facts.k3s_release or (0, 0)) < NRI_K3S:
        yield Finding(
            "nri",
            host.name,
            f"K3s {facts.k3s_version} is too old for gpu_operator.toolkit: nri",
            f"it needs K3s v{'.'.join(map(str, NRI_K3S))} or later",
            f"upgrade K3s there; or edit {host.cluster}.yaml: gpu_operator.toolkit: host",
        )


def require_a_place(cluster: str, nodes: Mapping[str, KubeObject]) -> None:
    """Make sure that not every node turns away what has no business with GPUs.

    Raises:
        Trouble: every node has the taint.
    """
    if nodes and all(_is_tainted(node) for node in nodes.values()):
        raise Trouble(
            f"{cluster}: every node has the taint {RESOURCE}",
            why="Helm's Job, CoreDNS and Traefik do not tolerate it: they would be pending, and nothing installed",
            next=f"sudo k3s kubectl taint nodes --all {RESOURCE}- on a server; or the same command with --allow-taint",
        )


def _is_tainted(node: KubeObject) -> bool:
    taints: Iterable[Mapping[str, str]] = node.get("spec", {}).get("taints", [])
    return any(taint["key"] == RESOURCE and taint["effect"] in ("NoSchedule", "NoExecute") for taint in taints)


def require_no_other(cluster: str, state: OperatorState) -> None:
    """Make sure that no GPU operator is there that this release would fight with.

    Raises:
        Trouble: one is.
    """
    for deployment in state.operators:
        namespace = deployment["metadata"]["namespace"]
        release = deployment["metadata"].get("annotations", {}).get("meta.helm.sh/release-name", "")
        if namespace != NAMESPACE or (not state.releases and state.chart is None):
            by = f"by Helm's release {release}" if release else "by other means than Helm"
            raise Trouble(
                f"{cluster}: there is another GPU operator, in namespace {namespace}",
                why=f"it was installed {by}; two of them fight over the same nodes",
                next=f"helm uninstall {release or 'RELEASE'} --namespace {namespace}, and then the same command again",
            )


def taken_over(cluster: str, state: OperatorState) -> list[Trouble]:
    """Return a warning if the release was made by somebody else, and will be upgraded in place."""
    if state.chart is not None or not state.releases:
        return []
    newest = state.releases[0]
    what = f"{cluster}: Helm's release gpu-operator ({newest.get('version', '?')}) was installed by other means"
    why = "it is upgraded in place to this chart and these values, and belongs to this command from then on"
    return [Trouble(what, why=why, next=f"helm get values gpu-operator --namespace {NAMESPACE} says what it has now")]
