"""What Open WebUI uses, against what the inventory wants of it: a look that changes nothing, for status and check."""

from __future__ import annotations

from dataclasses import dataclass

from scout_ollama.inventory import ScoutCluster, Site
from scout_ollama.open_webui import facts, target, wanting
from scout_ollama.open_webui.facts import Installed
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


def look(remote: Reader, site: Site, scout: ScoutCluster, session: Session, installed: Installed) -> Looked:
    """Ask the Open WebUI of a Scout, through the Scout's first server.

    Raises:
        Trouble: it cannot be asked, or nobody knows what it shall use.
    """
    meant = target.of(site, scout, None)[2]
    found = facts.ask(remote, session, installed, reach=meant.url)
    wanted = wanting.wanted(meant, found)
    drift = [*found.connection.lines(wanted.connection), *found.embedding.lines(wanted.embedding)]
    urls = found.connection.urls if found.connection.enabled else ()
    answer = found.reached
    silent = f"HTTP {answer['status']}: {answer.get('answer')}" if answer and answer["status"] != 200 else ""
    return Looked(found.version, tuple(urls), tuple(drift), silent)
