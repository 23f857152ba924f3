"""Every command: parse, select hosts, call one function, render its result, exit. No logic lives here.

Heavy modules are imported by the command that needs them, so that ``inv --list`` stays quick.
"""

from __future__ import annotations

import functools
import inspect
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from invoke import Context, Exit, task
from invoke.main import program

from manual import commands

if TYPE_CHECKING:
    from scout_ollama.inventory import Site
    from scout_ollama.proposal import Request

P = ParamSpec("P")
HELP: dict[str, str] = {
    "hosts": "clusters, environments, kinds, hosts or globs, with commas; cluster:host narrows (phi:gpu-1)",
    "site": "directory of the inventory (default: $SCOUT_SITE, else hosts/)",
    "plan": "show what would differ and change nothing; exit 2 if something would",
    "yes": "do not ask: agree to the plan beforehand",
    "json": "print the result as JSON on standard output",
    "reason": "why, for the audit and for whoever waits for the lock",
    "lock-wait": "seconds to wait for the lock if somebody else has it",
    "allow-outage": "also if no other node serves meanwhile",
    "last": "how many runs",
    "watch": "read and show it again every few seconds, until Ctrl-C",
    "html": "file to write a page to, for a wall or a mail; with --watch again and again",
}
READS = ("hosts", "site", "json")
program.list_flat = functools.partial(commands.list_by_group, program)  # type: ignore[method-assign]


def command(function: Callable[P, int | None]) -> Callable[P, None]:
    """Turn a function that returns an exit status into a task body.

    Foreseeable trouble is one message and status 1; a fault of ours is one too, with its traceback in the log. The log
    of a command that changes something, and of one that failed, is named last.
    """
    changes_something = "plan" in inspect.signature(function).parameters

    @functools.wraps(function)
    def body(*args: P.args, **kwargs: P.kwargs) -> None:
        from scout_ollama import logs

        if isinstance(args[0], Context) and args[0].config.run.dry:
            raise Exit(
                "Invoke's --dry cannot know what a command would do\n  next: the same command with --plan", code=1
            )
        with logs.of(function.__name__.strip("_").replace("_", "-")) as log:
            status = log.status_of(lambda: function(*args, **kwargs))
        if status or changes_something:
            log.name_it()
        if status:
            raise Exit(code=status)

    return body


def changing(name: str = "", **own_help: str) -> Callable[[Callable[..., int]], Any]:
    """Make a task of ``function(inventory, hosts, request, …)``, with the options that every changing command has.

    The function's further parameters are the task's own options.
    """

    def make(function: Callable[..., int]) -> Any:
        own = [*inspect.signature(function).parameters.values()][3:]
        context, hosts, site, *rest = inspect.signature(_request).parameters.values()

        @functools.wraps(function)
        def body(context: Context, hosts: str, site: str, **options: Any) -> int:
            request = _request(context, hosts, site, **{option.name: options.pop(option.name) for option in rest})
            return function(_site(site), hosts, request, **options)

        body.__signature__ = inspect.Signature([context, hosts, *own, site, *rest])  # type: ignore[attr-defined]
        help = _help(*READS, "plan", "yes", "reason", "lock-wait", **own_help)
        return task(name=name or None, auto_shortflags=False, help=help)(command(body))

    return make


def _request(
    _: Context,
    hosts: str = "",
    site: str = "",
    plan: bool = False,
    yes: bool = False,
    json: bool = False,
    reason: str = "",
    lock_wait: int = 0,
) -> Request:
    """What was asked for, of the options that every changing command has."""
    from scout_ollama.proposal import Consent, Request

    del hosts, site  # others use them
    consent = Consent.PLAN_ONLY if plan else Consent.YES if yes else Consent.ASK
    typed = shlex.join(["inv", *sys.argv[1:]])
    return Request(typed, consent, reason=reason, lock_wait=lock_wait, as_json=json)


def _site(site: str) -> Site:
    from scout_ollama.inventory import load_site

    return load_site(Path(site or os.environ.get("SCOUT_SITE") or Path(__file__).parent / "hosts"))


def _help(*names: str, **more: str) -> dict[str, str]:
    return {**{name: HELP[name] for name in names}, **more}


@task(auto_shortflags=False, help=_help(*READS))
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


@task(auto_shortflags=False, help=_help("hosts", "site"))
@command
def render(_: Context, hosts: str = "ollama", site: str = "") -> None:
    """Print the manifests of the selected clusters without contacting anything; secrets are left out."""
    from scout_ollama import rendering

    inventory = _site(site)
    sys.stdout.write(rendering.rendered(inventory, inventory.clusters_of(inventory.select(hosts))))


@task(auto_shortflags=False, help=_help(*READS))
@command
def list_images(_: Context, hosts: str = "ollama", site: str = "", json: bool = False) -> None:
    """Show the images that the selected clusters pull, for what, and where an air gap gets them; touches nothing."""
    from scout_ollama.gpu_operator import image_list

    image_list.command(_site(site), hosts, as_json=json)


@task(
    auto_shortflags=False,
    help=_help(
        "site",
        **{"version": "release of the GPU operator: v25.10.1", "from": "https URL of a mirror's directory of charts"},
    ),
)
@command
def fetch_chart(_: Context, version: str = "", site: str = "", from_: str = "") -> None:
    """Download NVIDIA's chart of the GPU operator to charts/ beside the inventory, and record its SHA-256."""
    from scout_ollama.gpu_operator import fetching

    sys.stdout.write(fetching.fetch(_site(site), version, from_))


@changing(
    **{
        "remove": "take the operator away instead",
        "pre-pull": "pull every image on every host first",
        "allow-taint": "also if every node has the taint nvidia.com/gpu",
        "patience": "seconds without any progress before it is called a stall",
    }
)
def install_gpu_operator(
    inventory: Site,
    hosts: str,
    request: Request,
    remove: bool = False,
    pre_pull: bool = False,
    allow_taint: bool = False,
    patience: int = 120,
) -> int:
    """Install NVIDIA's GPU operator on whole clusters, and prove every GPU; deploy-ollama does this first."""
    from scout_ollama import run, selection
    from scout_ollama.gpu_operator import installing, removing

    clusters = selection.shared_clusters(inventory, hosts, "install-gpu-operator")
    if remove:
        return run.carry_out(inventory, clusters, request, run.unprepared(removing.propose))
    options = installing.Options(pre_pull, allow_taint, patience)
    return run.carry_out(
        inventory, clusters, request, functools.partial(installing.prepare, inventory, options=options)
    )


@changing()
def deploy_ollama(inventory: Site, hosts: str, request: Request) -> int:
    """Bring Ollama on whole clusters to what the inventory says, and prove that it answers."""
    from scout_ollama import deploy, run, selection

    clusters = selection.whole_clusters(inventory, hosts, "deploy-ollama")
    return run.carry_out(inventory, clusters, request, functools.partial(deploy.prepare, inventory))


@changing(
    update="pull also what is there already: tags that have moved move here too",
    repair="remove damaged blobs on staging, and pull their models again",
    direct="every node copies from staging itself",
)
def pull_models(
    inventory: Site, hosts: str, request: Request, update: bool = False, repair: bool = False, direct: bool = False
) -> int:
    """Bring the declared models to staging, then to every node, verified, and serve them."""
    from scout_ollama import run, selection
    from scout_ollama.models import command

    clusters = selection.whole_clusters(inventory, hosts, "pull-models")
    propose = functools.partial(command.propose, update=update, repair=repair, direct=direct)
    return run.carry_out(inventory, clusters, request, run.unprepared(propose))


@task(auto_shortflags=False, help=_help(*READS))
@command
def list_models(_: Context, hosts: str = "ollama", site: str = "", json: bool = False) -> int:
    """Show every model against staging, each node, its memory and models.lock, and what does not agree."""
    from scout_ollama.models import list_command

    return list_command.command(_site(site), hosts, as_json=json)


@task(auto_shortflags=False, help=_help(*READS, explain="a check: tell what it is about, and contact nothing"))
@command
def check(_: Context, hosts: str = "*", site: str = "", explain: str = "", json: bool = False) -> int:
    """Look at everything that must hold, from the ground up, and say what does not, why, and what to type next."""
    from scout_ollama import doctor

    if explain:
        doctor.explain(explain)
        return 0
    return doctor.command(_site(site), hosts, as_json=json)


@changing(deep="hash everything, also what was hashed before and is the same file still")
def verify_models(inventory: Site, hosts: str, request: Request, deep: bool = False) -> int:
    """Make sure of every blob that is wanted or published, on staging and on every node."""
    from scout_ollama import run, selection
    from scout_ollama.models import verify_command

    clusters = selection.whole_clusters(inventory, hosts, "verify-models")
    propose = functools.partial(verify_command.propose, deep=deep)
    return run.carry_out(inventory, clusters, request, run.unprepared(propose))


@changing(to="set to go back to (default: the one before the newest)")
def rollback_models(inventory: Site, hosts: str, request: Request, to: int = 0) -> int:
    """Serve the models of an earlier set again, without copying; inv audit names the sets."""
    from scout_ollama import run, selection
    from scout_ollama.models import rollback_command

    clusters = selection.whole_clusters(inventory, hosts, "rollback-models")
    propose = functools.partial(rollback_command.propose, to=to or None)
    return run.carry_out(inventory, clusters, request, run.unprepared(propose))


@changing(keep="how many of the newest sets keep their blobs")
def prune_models(inventory: Site, hosts: str, request: Request, keep: int = 3) -> int:
    """Remove from every node the models and blobs that none of its newest sets names."""
    from scout_ollama import run, selection
    from scout_ollama.models import prune_command

    clusters = selection.whole_clusters(inventory, hosts, "prune-models")
    propose = functools.partial(prune_command.propose, keep=keep)
    return run.carry_out(inventory, clusters, request, run.unprepared(propose))


@changing()
def remove_ollama(inventory: Site, hosts: str, request: Request) -> int:
    """Take Ollama away from whole clusters; models, images and K3s's settings stay on the hosts."""
    from scout_ollama import remove, run, selection

    clusters = selection.whole_clusters(inventory, hosts, "remove-ollama", also_left=True)
    return run.carry_out(inventory, clusters, request, run.unprepared(remove.propose))


@changing(to="revision to go back to (default: the one before the last)")
def rollback_ollama(inventory: Site, hosts: str, request: Request, to: int = 0) -> int:
    """Make a cluster's objects again what an earlier run applied; inv audit names the revisions."""
    from scout_ollama import rollback, run, selection

    clusters = selection.whole_clusters(inventory, hosts, "rollback-ollama")
    propose = functools.partial(rollback.propose, to=to or None)
    return run.carry_out(inventory, clusters, request, run.unprepared(propose))


@changing()
def rotate_tls(inventory: Site, hosts: str, request: Request) -> int:
    """Serve the certificate that the inventory names now, without an interruption; nothing else is changed."""
    from scout_ollama import rotate, run, selection

    clusters = selection.whole_clusters(inventory, hosts, "rotate-tls")
    return run.carry_out(inventory, clusters, request.with_reason(), functools.partial(rotate.prepare, inventory))


@changing(
    external="to the shared Ollama that the inventory names",
    deploy="to an Ollama of the Scout's own, which is deployed first",
    disabled="to none: the connection is turned off, and kept",
)
def connect_scout(
    inventory: Site,
    hosts: str,
    request: Request,
    external: bool = False,
    deploy: bool = False,
    disabled: bool = False,
) -> int:
    """Make Open WebUI really use the Ollama that the inventory says, and prove it by a chat; all Scouts, or --hosts."""
    from scout_ollama.open_webui import connect

    mode = connect.mode_of(external=external, deploy=deploy, disabled=disabled)
    return connect.command(inventory, hosts, request, mode)


@changing()
def disconnect_scout(inventory: Site, hosts: str, request: Request) -> int:
    """Bring back what Open WebUI was connected to before connect-scout, with the Ollama that was beside it."""
    from scout_ollama.open_webui import disconnect

    return disconnect.command(inventory, hosts, request)


@changing()
def remove_embedded_ollama(inventory: Site, hosts: str, request: Request) -> int:
    """Remove the volume of the Ollama beside Open WebUI, once connect-scout has retired it; its models go for good."""
    from scout_ollama.open_webui import retire

    return retire.command(inventory, hosts, request)


@changing(**_help("allow-outage"))
def restart_ollama(inventory: Site, hosts: str, request: Request, allow_outage: bool = False) -> int:
    """Restart Ollama on the selected GPU hosts, one at a time, each awaited."""
    from scout_ollama import run, selection, serving

    selected = selection.gpu_hosts(inventory, hosts, "restart-ollama")
    request = request.with_reason().on(selected)
    propose = functools.partial(serving.restart, allow_outage=allow_outage)
    return run.carry_out(inventory, inventory.clusters_of(selected), request, run.unprepared(propose))


@changing(**_help("allow-outage"))
def drain_host(inventory: Site, hosts: str, request: Request, allow_outage: bool = False) -> int:
    """Take GPU hosts out of service: their Ollama leaves and nothing new is placed there; the others go on."""
    from scout_ollama import run, selection, serving

    selected = selection.gpu_hosts(inventory, hosts, "drain-host")
    request = request.with_reason().on(selected)
    propose = functools.partial(serving.drain, request=request, allow_outage=allow_outage)
    return run.carry_out(inventory, inventory.clusters_of(selected), request, run.unprepared(propose))


@changing()
def undrain_host(inventory: Site, hosts: str, request: Request) -> int:
    """Take GPU hosts back into service, and wait until they serve."""
    from scout_ollama import run, selection, serving

    selected = selection.gpu_hosts(inventory, hosts, "undrain-host")
    request = request.with_reason().on(selected)
    return run.carry_out(inventory, inventory.clusters_of(selected), request, run.unprepared(serving.undrain))


@changing(
    name="exec",
    sudo="run it as root: then it waits for the lock, and is asked about",
    script="a file to run instead of a command; what comes after -- are its arguments",
    timeout="seconds that it may take on a host",
)
def exec_(
    inventory: Site, hosts: str, request: Request, sudo: bool = False, script: str = "", timeout: int = 600
) -> int:
    """Run a command on the selected hosts, audited: inv exec --hosts 'phi:*' -- nvidia-smi -L."""
    from scout_ollama import adhoc

    words = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    command = adhoc.command(words, script=script, sudo=sudo, seconds=timeout)
    return adhoc.execute(inventory, hosts, command, request)


@changing()
def release_lock(inventory: Site, hosts: str, request: Request) -> int:
    """Take a cluster's lock from a run that hangs; the run stops before its next change."""
    from scout_ollama import holding

    return holding.release_lock(inventory, hosts, request.with_reason())


@task(auto_shortflags=False, help=_help(*READS, "last"))
@command
def audit(_: Context, hosts: str = "", last: int = 20, site: str = "", json: bool = False) -> int:
    """Show the last runs on the selected clusters: who, when, what, how it ended and what undoes it."""
    from scout_ollama import holding

    return holding.show_audit(_site(site), hosts, last=last, as_json=json)


@task(auto_shortflags=False, help=_help(*READS, "watch", "html"))
@command
def status(
    _: Context, hosts: str = "*", site: str = "", json: bool = False, watch: bool = False, html: str = ""
) -> int:
    """Show how the whole site is, and what is not as it should be; exit 1 if anything is broken; read-only."""
    from scout_ollama.status import showing

    return showing.show(_site(site), hosts, as_json=json, watch=watch, html=html)


@task(auto_shortflags=False, help=_help(*READS))
@command
def show_lock(_: Context, hosts: str = "*", site: str = "", json: bool = False) -> int:
    """Show who is at work on the selected clusters."""
    from scout_ollama import holding

    return holding.show_lock(_site(site), hosts, as_json=json)


@task(auto_shortflags=False, help=_help("hosts", "site"))
@command
def show_host_keys(_: Context, hosts: str = "*", site: str = "") -> int:
    """Show the fingerprint of the key that each host presents, and whether it is known."""
    from scout_ollama import hostkeys

    return hostkeys.show(_site(site), hosts)


@task(
    auto_shortflags=False,
    help=_help("hosts", "site", fingerprint="SHA256:… as read from the host's console"),
)
@command
def trust_host(_: Context, hosts: str = "", fingerprint: str = "", site: str = "") -> None:
    """Add one host's key to known_hosts, if it has the fingerprint that you read on its console."""
    from scout_ollama import hostkeys

    hostkeys.trust(_site(site), hosts, fingerprint)


@task(auto_shortflags=False, help=_help(*READS))
@command
def check_access(_: Context, hosts: str = "ollama", site: str = "", json: bool = False) -> int:
    """Try from every host of the site whether a shared Ollama is open to its Scouts and to nobody else; read-only."""
    from scout_ollama import access

    return access.command(_site(site), hosts, as_json=json)


@task(
    auto_shortflags=False,
    help={
        "name": "name of the lab; several can be up side by side",
        "real_model": "with Gemma 3 270M (253 MB), really run, for phi; where it cannot be had, it says so and goes on",
    },
)
@command
def lab_up(_: Context, name: str = "lab", real_model: bool = False) -> None:
    """Build a small Scout site on this machine: six hosts with their own sshd, and stand-ins for what is missing."""
    from lab import commands

    commands.up(name, real_model=real_model)


@task(auto_shortflags=False, help={"name": "name of the lab"})
@command
def lab_down(_: Context, name: str = "lab") -> None:
    """Take a lab down and leave nothing behind, also after a crash."""
    from lab import commands

    commands.down(name)
