"""Every name that ``--hosts`` takes, for shell completion: ``python -m scout_ollama.inventory.names DIRECTORY``."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from scout_ollama.errors import Trouble

from .loading import load_site
from .site import Site


def names(site: Site) -> list[str]:
    """Clusters, environments, kinds and hosts, and hosts narrowed from a cluster of several: ``phi:gpu-1``."""
    return list(dict.fromkeys([*_groups(site), *(host.name for host in site.hosts), *_narrowed(site)]))


def _groups(site: Site) -> Iterator[str]:
    for cluster in site.clusters.values():
        yield from (cluster.name, cluster.environment, cluster.kind)


def _narrowed(site: Site) -> Iterator[str]:
    for cluster in site.clusters.values():
        if len(cluster.hosts) > 1:
            yield from (f"{cluster.name}:{host.removeprefix(f'{cluster.name}-')}" for host in cluster.hosts)


if __name__ == "__main__":
    with suppress(Trouble):  # whoever presses Tab is not told what is wrong with the inventory; the command will
        print("\n".join(names(load_site(Path(sys.argv[1])))))
