"""What Open WebUI uses, against what the inventory wants of it: a look that changes nothing, for status and check."""

from __future__ import annotations

from dataclasses import dataclass

from scout_ollama.inventory import ScoutCluster, Site
from scout_ollama.open_webui import facts, target, wanting
from scout_ollama.open_webui.session import Session
from scout_ollama.remote import Reader


@dataclass(frozen=True)
class Looked:
    """``urls`` are those that it says it uses, none if its connection is off; ``drift`` is what differs, a line each.

    ``silent`` is what it says when it does not reach the wanted one; empty if it does, or none is wanted.
    """

    version: str
    urls: tuple[str, ...]
    drift: tuple[str, ...] = ()
    silent: str = ""


def look(remote: Reader, site: Site, cluster: ScoutCluster, session: Session) -> Looked:
    """Ask the Open WebUI of a Scout, through the Scout's first server.

    Raises:
        NotThere: there is none.
        Trouble: it cannot be asked, or nobody knows what it shall use.
    """
    scout, _, meant = target.of(site, cluster, None)
    found = facts.read(remote, session, scout)
    wanted = wanting.wanted(meant, found)
    drift = [*found.connection.lines(wanted.connection), *found.embedding.lines(wanted.embedding)]
    urls = found.connection.urls if found.connection.enabled else ()
    silent = ""
    if meant.url in urls:
        at = found.connection.index(meant.url)
        ask = {"do": "call", "path": f"/ollama/api/version/{at}"}
        answer = session.ask(remote, found.workload, ask)[0]
        silent = "" if answer["status"] == 200 else f"HTTP {answer['status']}: {answer.get('answer')}"
    return Looked(found.version, tuple(urls), tuple(drift), silent)
