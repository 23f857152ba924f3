"""``--hosts``: what a person types, and which hosts that means."""

from pathlib import Path

import pytest

from scout_ollama.errors import Trouble
from scout_ollama.inventory import Site, load_site

PHI = ["phi-gpu-1", "phi-gpu-2", "phi-gpu-3"]
NONPHI = ["nonphi-gpu-1"]
SCOUTS = ["scout-demo-1", "scout-dev-1", "scout-preprod-1", "scout-prod-1"]
STAGING = ["staging-1"]


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site(Path(__file__).parent.parent / "hosts")


@pytest.mark.parametrize(
    ("selector", "hosts"),
    [
        pytest.param("phi", PHI, id="a cluster, before the environment of that name"),
        pytest.param("non-phi", [*NONPHI, *SCOUTS[:2]], id="an environment"),
        pytest.param("scout", SCOUTS, id="a kind"),
        pytest.param("ollama", [*NONPHI, *PHI], id="a kind again"),
        pytest.param("staging", STAGING, id="a cluster, before the kind of that name"),
        pytest.param("phi-gpu-2", ["phi-gpu-2"], id="a host"),
        pytest.param("phi-gpu-[13]", ["phi-gpu-1", "phi-gpu-3"], id="a glob over hosts"),
        pytest.param("scout-d*", SCOUTS[:2], id="a glob over clusters"),
        pytest.param("*-gpu-1", ["nonphi-gpu-1", "phi-gpu-1"], id="a glob over hosts of several clusters"),
        pytest.param("*", [*NONPHI, *PHI, *SCOUTS, *STAGING], id="all"),
        pytest.param("phi:phi-gpu-1", ["phi-gpu-1"], id="a host of a cluster"),
        pytest.param("phi:gpu-1", ["phi-gpu-1"], id="a host of a cluster without the cluster's name"),
        pytest.param("phi:*", PHI, id="all hosts of a cluster"),
        pytest.param("phi:gpu-[12]", PHI[:2], id="some hosts of a cluster"),
        pytest.param("ollama:gpu-1", ["nonphi-gpu-1", "phi-gpu-1"], id="a host of each cluster of a kind"),
        pytest.param("scout-*:1", SCOUTS, id="a host of each cluster of a glob"),
        pytest.param("phi,scout-*:*-1", [*PHI, *SCOUTS], id="two terms"),
        pytest.param(" staging , phi-gpu-1 ,", ["phi-gpu-1", *STAGING], id="spaces, and the order of the inventory"),
        pytest.param("phi,phi-gpu-1,phi:*", PHI, id="no host twice"),
    ],
)
def test_a_selector_means(site: Site, selector: str, hosts: list[str]) -> None:
    assert [host.name for host in site.select(selector)] == hosts


@pytest.mark.parametrize(
    ("selector", "meant"),
    [
        ("fhi", "phi"),
        ("scout-rpod", "scout-prod"),
        ("phi-gpu-4", "phi-gpu-3"),
        ("phi:gpu-4", "phi:gpu-3"),
        ("phi,nonphy", "nonphi"),
        ("scout-*:gpu-1", "scout-dev:1"),
        ("zzz", None),
    ],
)
def test_a_term_that_means_nothing_is_told_with_the_closest_and_all_there_is(
    site: Site, selector: str, meant: str | None
) -> None:
    with pytest.raises(Trouble) as refused:
        site.select(selector)
    assert refused.value.what == f"no host or cluster matches '{selector.rpartition(',')[2]}'"
    assert refused.value.next == (f"did you mean {meant}?" if meant else "inv list-hosts shows everything there is")
    assert refused.value.why.splitlines() == [
        "there is",
        "nonphi: nonphi-gpu-1",
        "phi: phi-gpu-1, phi-gpu-2, phi-gpu-3",
        "scout-demo: scout-demo-1",
        "scout-dev: scout-dev-1",
        "scout-preprod: scout-preprod-1",
        "scout-prod: scout-prod-1",
        "staging: staging-1",
    ]


@pytest.mark.parametrize("selector", ["", " , "])
def test_nothing_selects_nothing_and_never_all(site: Site, selector: str) -> None:
    with pytest.raises(Trouble, match="no hosts selected"):
        site.select(selector)


def test_the_clusters_of_hosts(site: Site) -> None:
    assert [cluster.name for cluster in site.clusters_of(site.select("staging,phi:gpu-1,phi:gpu-2"))] == [
        "phi",
        "staging",
    ]
    assert site.clusters_of([]) == []
