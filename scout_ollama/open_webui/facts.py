"""What there is of Open WebUI on a Scout: from Kubernetes, and from inside its pod what it says itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scout_ollama.errors import Trouble
from scout_ollama.facts import Sections, facts_script, parse_sections
from scout_ollama.inventory import Host, ScoutCluster
from scout_ollama.kube_json import objects_in
from scout_ollama.manifests import MANAGER
from scout_ollama.open_webui import needs, record, workload
from scout_ollama.open_webui.configuration import Connection, Embedding, Json
from scout_ollama.open_webui.needs import Need
from scout_ollama.open_webui.record import Before
from scout_ollama.open_webui.session import PROGRAM, Session
from scout_ollama.open_webui.workload import Embedded, Workload
from scout_ollama.outside import understood
from scout_ollama.remote import Reader

OLDEST = (0, 10)
"""From here on the configuration is a row for each setting, read for every request, so a change holds at once."""


@dataclass(frozen=True)
class Installed:
    """What Kubernetes says.

    ``consumers`` are others that have an Ollama's URL, by what they are; ``own`` are the DaemonSets of ours, as
    NAMESPACE/NAME. Of them, and of the volumes of ``embedded``, only who asked for what is around knows.
    """

    workload: Workload
    embedded: Embedded | None
    consumers: Mapping[str, str]
    own: Sequence[str]
    before: Before | None


@dataclass(frozen=True)
class Found:
    """All of it; ``environment`` is what the process has, also from elsewhere than its container's entries.

    ``reached`` is what came from the URL that was to be reached: ``status`` of HTTP and ``answer``; None where no such
    connection is in use.
    """

    installed: Installed
    version: str
    connection: Connection
    embedding: Embedding
    needs: Sequence[Need]
    environment: Mapping[str, str]
    reached: Json | None = None

    @property
    def workload(self) -> Workload:
        """Open WebUI."""
        return self.installed.workload


def read_installed(remote: Reader, scout: ScoutCluster, *, around: bool = False) -> Installed:
    """Read what Kubernetes says; with ``around`` also of volumes, others that use an Ollama, and our own.

    Raises:
        Trouble: the host or the cluster cannot be asked, or there is no Open WebUI.
    """
    namespace = scout.open_webui.namespace
    script = facts_script("together", "open-webui-facts")
    arguments = (namespace, record.RECORDS, MANAGER if around else "")
    sections = parse_sections(remote.read(script, *arguments, sudo=True).stdout)
    return installed_of(sections, namespace, remote.host)


def installed_of(sections: Sections, namespace: str, host: Host) -> Installed:
    """Make sense of what ``open-webui-facts.sh`` printed on a host.

    Raises:
        Trouble: Kubernetes did not answer, there is no sense in what it said, or no Open WebUI.
    """
    if not sections["open-webui"].ok:
        raise Trouble(
            "the cluster cannot be asked about Open WebUI",
            host=host.name,
            why=sections["open-webui"].text.strip(),
            next="sudo k3s kubectl get nodes",
        )
    with understood(host.name, "open-webui-facts"):
        return _installed(sections, namespace, host.name)


def _installed(sections: Sections, namespace: str, host: str) -> Installed:
    objects = objects_in(sections["open-webui"].text)
    volumes = objects_in(sections["volumes"].text) if sections["volumes"].ok else []
    lines = [line.split("\t") for line in sections["consumers"].text.splitlines() if sections["consumers"].ok]
    return Installed(
        workload=workload.find(objects, namespace),
        embedded=workload.embedded(objects, volumes),
        consumers={parts[0]: parts[1] for parts in lines if len(parts) == 2 and parts[1]},
        own=sections["own"].text.split() if sections["own"].ok else (),
        before=record.parse(sections["record"].text, host) if sections["record"].ok else None,
    )


def read(remote: Reader, session: Session, scout: ScoutCluster) -> Found:
    """Read everything, also what is around Open WebUI.

    Raises:
        Trouble: something cannot be asked, or this Open WebUI cannot be changed from outside for good.
    """
    return ask(remote, session, read_installed(remote, scout, around=True))


def ask(remote: Reader, session: Session, installed: Installed, *, reach: str | None = None) -> Found:
    """Ask Open WebUI itself; ``reach`` has it ask the Ollama at that URL for its version.

    Raises:
        Trouble: as ``read``.
    """
    said: Json = session.ask(remote, installed.workload, {"do": "facts", "reach": reach})[0]
    with understood(remote.host.name, PROGRAM.name):
        return _found(remote, installed, said)


def _found(remote: Reader, installed: Installed, said: Json) -> Found:
    _require_version(remote, said["version"])
    _require_persistence(remote, said["environment"])
    embedding = Embedding(said["embedding"])
    return Found(
        installed=installed,
        version=said["version"],
        connection=Connection.of(said["connection"]),
        embedding=embedding,
        needs=needs.of(said["defaults"], said["tasks"], said["presets"], embedding),
        environment=said["environment"],
        reached=said.get("reached"),
    )


def _require_version(remote: Reader, version: str) -> None:
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < OLDEST:
        raise Trouble(
            f"Open WebUI {version or 'of unknown version'} is too old to be connected from here",
            host=remote.host.name,
            why="before 0.10 the configuration is one document that each replica keeps in memory: a change holds in one"
            " replica and is lost in the others",
            next="upgrade Scout, which has 0.11.0; until then: Admin Settings, Connections, in Open WebUI",
        )


def _require_persistence(remote: Reader, environment: Mapping[str, str]) -> None:
    for name, bad, why in (
        ("ENABLE_PERSISTENT_CONFIG", "false", "what is saved is lost at the next start"),
        ("RESET_CONFIG_ON_START", "true", "all that was ever saved is deleted at every start"),
    ):
        if environment.get(name, "").lower() == bad:
            raise Trouble(
                f"Open WebUI has {name}={environment[name]}",
                host=remote.host.name,
                why=f"with it {why}",
                next=f"take {name} out of Scout's values for Open WebUI, deploy Scout, then the same command again",
            )
