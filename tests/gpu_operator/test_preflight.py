"""What is refused before the GPU operator is installed, on each host by who brings its toolkit, and in the cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scout_ollama.errors import Trouble
from scout_ollama.gpu_operator import preflight
from scout_ollama.inventory import GpuOperator, Host
from scout_ollama.manifests import KubeObject
from tests.gpu_operator.readings import good, node
from tests.samples import GOOD_HOST, host_facts

HOST = Host(name="phi-gpu-1", cluster="phi", address="192.0.2.11", roles=frozenset({"server", "gpu"}), gpus=1)
TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


def found(mode: str, *, k3s: str = "v1.36.3+k3s1", host: Host = HOST, **runtime: Any) -> list[str]:
    facts = host_facts(k3s_version=k3s, runtime=replace(GOOD_HOST.runtime, **runtime))
    operator = GpuOperator.model_validate({"toolkit": mode})
    return [finding.what for finding in preflight.of_host(host, operator, facts)]


@pytest.mark.parametrize("toolkit", ["host", "operator", "nri"])
def test_a_good_host_is_good_for_every_toolkit(toolkit: str) -> None:
    assert found(toolkit) == []


def test_a_toolkit_of_the_hosts_own_has_to_be_there() -> None:
    assert found("host", toolkit=None) == ["the NVIDIA container toolkit is not installed"]
    assert found("operator", toolkit=None) == []
    assert found("nri", toolkit=None) == []


def test_the_operators_toolkit_needs_a_k3s_that_reads_drop_ins() -> None:
    assert found("operator", imports_drop_ins=False) == ["its containerd reads no file beside the one that K3s renders"]
    assert found("host", imports_drop_ins=False) == []


@pytest.mark.parametrize(("k3s", "flaws"), [("v1.32.9+k3s1", 1), ("v1.33.0+k3s1", 0), ("v1.40.1", 0)])
def test_an_nri_plugin_needs_a_k3s_that_runs_it(k3s: str, flaws: int) -> None:
    assert len(found("nri", k3s=k3s)) == flaws
    assert found("host", k3s=k3s) == []


@pytest.mark.parametrize("toolkit", ["host", "operator", "nri"])
def test_a_default_runtime_that_is_not_there_would_keep_k3s_from_starting(toolkit: str) -> None:
    assert found(toolkit, toolkit=None, default="nvidia") == ["its K3s would not start again"]
    assert found(toolkit, default="nvidia") == []


def test_a_host_without_gpus_needs_none_of_it() -> None:
    assert found("host", host=HOST.model_copy(update={"roles": frozenset({"server"})}), toolkit=None) == []


def tainted(*names: str, effect: str = "NoSchedule") -> dict[str, KubeObject]:
    return {name: {**node(name), "spec": {"taints": [{**TAINT, "effect": effect}]}} for name in names}


@pytest.mark.parametrize("effect", ["NoSchedule", "NoExecute"])
def test_where_every_node_is_tainted_nothing_else_finds_a_place(effect: str) -> None:
    with pytest.raises(Trouble, match="phi: every node has the taint"):
        preflight.require_a_place("phi", tainted("a", "b", effect=effect))


def test_one_node_that_is_free_is_place_enough() -> None:
    preflight.require_a_place("phi", {**tainted("a", "b"), "c": node("c")})
    preflight.require_a_place("phi", tainted("a", "b", effect="PreferNoSchedule"))


def deployment(namespace: str, release: str = "") -> KubeObject:
    annotations = {"meta.helm.sh/release-name": release} if release else {}
    return {"metadata": {"name": "gpu-operator", "namespace": namespace, "annotations": annotations}}


def test_another_operator_is_named_with_what_takes_it_away() -> None:
    with pytest.raises(Trouble, match="another GPU operator, in namespace nvidia") as refused:
        preflight.require_no_other("phi", good(operators=(deployment("nvidia", "gpu-operator-17"),)))
    assert refused.value.next.startswith("helm uninstall gpu-operator-17 --namespace nvidia")
    with pytest.raises(Trouble, match="in namespace gpu-operator"):
        preflight.require_no_other("phi", good(chart=None, releases=(), operators=(deployment("gpu-operator"),)))


def test_our_own_is_no_other() -> None:
    preflight.require_no_other("phi", good(operators=(deployment("gpu-operator", "gpu-operator"),)))
    preflight.require_no_other("phi", good(operators=()))


def test_a_release_that_somebody_else_made_is_taken_over_with_a_warning() -> None:
    (warning,) = preflight.taken_over("phi", good(chart=None))
    assert "installed by other means" in warning.what
    assert preflight.taken_over("phi", good()) == []
    assert preflight.taken_over("phi", good(chart=None, releases=())) == []
