"""Every command: parse, select hosts, call one function, render its result, exit. No logic lives here.

Heavy modules are imported by the command that needs them, so that ``inv --list`` stays quick.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from invoke import Context, Exit, task

if TYPE_CHECKING:
    from scout_ollama.inventory import Site

P = ParamSpec("P")
HOSTS_HELP = "clusters, environments, kinds, hosts or globs, with commas; cluster:host narrows (phi:gpu-1)"
SITE_HELP = "directory of the inventory (default: $SCOUT_SITE, else hosts/)"
HELP = {
    "hosts": HOSTS_HELP,
    "site": SITE_HELP,
    "plan": "show what would differ and change nothing; exit 2 if something would",
    "yes": "do not ask: agree to the plan beforehand",
    "json": "print the result as JSON on standard output",
}


def command(function: Callable[P, int | None]) -> Callable[P, None]:
    """Turn a function that returns an exit status into a task body: foreseeable trouble is one message and status 1."""

    @functools.wraps(function)
    def body(*args: P.args, **kwargs: P.kwargs) -> None:
        from scout_ollama.errors import Trouble

        if isinstance(args[0], Context) and args[0].config.run.dry:
            raise Exit(
                "Invoke's --dry cannot know what a command would do\n  next: the same command with --plan", code=1
            )
        try:
            status = function(*args, **kwargs)
        except Trouble as trouble:
            raise Exit(str(trouble), code=1) from None
        except KeyboardInterrupt:
            raise Exit(
                "interrupted: what is listed above was done; the same command again does the rest", code=1
            ) from None
        if status:
            raise Exit(code=status)

    return body


def _site(site: str) -> Site:
    from scout_ollama.inventory import load_site

    return load_site(Path(site or os.environ.get("SCOUT_SITE") or Path(__file__).parent / "hosts"))


@task(auto_shortflags=False, help={name: HELP[name] for name in ("hosts", "site", "json")})
@command
def list_hosts(_: Context, hosts: str = "*", site: str = "", json: bool = False) -> None:
    """Show the selected hosts and their merged settings; touches nothing."""
    from scout_ollama import listing, report

    inventory = _site(site)
    rows = listing.rows(inventory, inventory.select(hosts))
    if json:
        report.print_json(rows)
    else:
        report.print_text(listing.render(rows))


@task(auto_shortflags=False, help={**{name: HELP[name] for name in ("hosts", "site")}})
@command
def render(_: Context, hosts: str = "ollama", site: str = "") -> None:
    """Print the manifests of the selected clusters without contacting anything; secrets are left out."""
    from scout_ollama import manifests
    from scout_ollama.inventory import StagingCluster

    inventory = _site(site)
    for cluster in inventory.clusters_of(inventory.select(hosts)):
        if not isinstance(cluster, StagingCluster):
            sys.stdout.write(manifests.to_yaml(manifests.ollama_objects(inventory, cluster, with_secrets=False)))


@task(auto_shortflags=False, help=HELP)
@command
def deploy_ollama(
    _: Context, hosts: str = "", site: str = "", plan: bool = False, yes: bool = False, json: bool = False
) -> int:
    """Bring Ollama on whole clusters to what the inventory says, and prove that it answers."""
    from scout_ollama import deploy

    return deploy.command(_site(site), hosts, plan_only=plan, yes=yes, as_json=json)


@task(auto_shortflags=False, help={name: HELP[name] for name in ("hosts", "site")})
@command
def show_host_keys(_: Context, hosts: str = "*", site: str = "") -> int:
    """Show the fingerprint of the key that each host presents, and whether it is known."""
    from scout_ollama import hostkeys

    return hostkeys.show(_site(site), hosts)


@task(
    auto_shortflags=False,
    help={
        **{name: HELP[name] for name in ("hosts", "site")},
        "fingerprint": "SHA256:… as read from the host's console",
    },
)
@command
def trust_host(_: Context, hosts: str = "", fingerprint: str = "", site: str = "") -> None:
    """Add one host's key to known_hosts, if it has the fingerprint that you read on its console."""
    from scout_ollama import hostkeys

    hostkeys.trust(_site(site), hosts, fingerprint)


@task(auto_shortflags=False, help={name: HELP[name] for name in ("hosts", "site", "json")})
@command
def check_access(_: Context, hosts: str = "ollama", site: str = "", json: bool = False) -> int:
    """Try from every host of the site whether a shared Ollama is open to its Scouts and to nobody else; read-only."""
    from scout_ollama import access

    return access.command(_site(site), hosts, as_json=json)


@task(auto_shortflags=False, help={"name": "name of the lab; several can be up side by side"})
@command
def lab_up(_: Context, name: str = "lab") -> None:
    """Build a small Scout site on this machine: six hosts with their own sshd, and stand-ins for what is missing."""
    from lab import commands

    commands.up(name)


@task(auto_shortflags=False, help={"name": "name of the lab"})
@command
def lab_down(_: Context, name: str = "lab") -> None:
    """Take a lab down and leave nothing behind, also after a crash."""
    from lab import commands

    commands.down(name)
