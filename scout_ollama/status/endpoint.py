"""The endpoint of a shared cluster, as the Scout host that asked sees it: by name, on each node, and its certificate.

Pure, but for the certificate's file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from scout_ollama import certificates, files, proof
from scout_ollama.asking import authorised_scouts
from scout_ollama.errors import Trouble
from scout_ollama.facts import Sections
from scout_ollama.hints import on
from scout_ollama.inventory import Host, OllamaCluster, Site
from scout_ollama.sizes import counted
from scout_ollama.status.cells import broken, ok, unknown, warn
from scout_ollama.status.document import Cell, EndpointStatus
from scout_ollama.status.facts import SiteFacts

AT_ONCE = timedelta(days=7)
"""A certificate with less time left than this is broken: somebody must act now."""


@dataclass(frozen=True)
class Endpoint:
    """The endpoint of one cluster by one reading."""

    site: Site
    cluster: OllamaCluster
    facts: SiteFacts

    def status(self) -> EndpointStatus:
        """Return how it is."""
        return EndpointStatus(
            url=self.cluster.url,
            asked_from=self._asker.name if self._asker else None,
            answers=self.answers(),
            certificate=self.certificate(),
            certificate_ends=self._ends,
        )

    def on_node(self, host: Host, k3s: Cell) -> Cell:
        """Return whether it answers on a node."""
        if host.name not in self.facts.hosts:
            return unknown(f"{host.name} does not answer")
        if self._asker is None:
            return unknown(self._nobody)
        addresses = {name: address for address, name in self.facts.addresses_of(self.cluster).items()}
        answer = self._said[f"version@{addresses[host.name]}"]
        if answer.ok:
            return ok("answers")
        if k3s.state == "broken" or self._has_expired:
            return unknown(k3s.what or "the certificate has expired")
        url, at = self.cluster.url, f"{self.cluster.ollama.hostname}:443:{addresses[host.name]}"
        what, ask = f"{url} does not answer on it", f"curl -v --resolve {at} {url}/api/version"
        return broken("no answer", what, why=answer.text.strip(), next=on(self._asker, ask))

    def answers(self) -> Cell:
        """Return whether it answers by its name."""
        if self._asker is None:
            return unknown(self._nobody)
        tags = self._said["tags"]
        if tags.ok:
            return ok(f"answers, {counted(len(proof.digests(tags.text)), 'model')}")
        if self._has_expired:
            return unknown("the certificate has expired")
        what, ask = f"{self.cluster.url} does not answer", f"curl -v {self.cluster.url}/api/tags"
        return broken("no answer", what, why=tags.text.strip(), next=on(self._asker, ask))

    def certificate(self) -> Cell:
        """Return how long the certificate that is served is good for, and whether it is the one in the inventory."""
        if self._asker is None:
            return unknown(self._nobody)
        if self._ends is None:
            return unknown("no node serves one")
        file = self.cluster.ollama.tls.certificate
        rotate = f"inv rotate-tls --hosts {self.cluster.name} --reason '…'"
        renew = f"renew it, put it in {file}, then: {rotate}"
        left = self._ends - self.facts.taken
        if left < timedelta():
            return broken("expired", f"its certificate expired on {self._ends.date()}", next=renew)
        text = counted(left.days, "day")
        if left < AT_ONCE:
            return broken(text, f"its certificate expires in {text}, on {self._ends.date()}", next=renew)
        if others := self._others():
            return warn(f"another, {text}", f"it serves another certificate than {file}", why=others, next=rotate)
        if left < certificates.SOON:
            return warn(text, f"its certificate expires in {text}, on {self._ends.date()}", next=renew)
        return ok(text)

    @cached_property
    def _asker(self) -> Host | None:
        """The Scout host that asked every node; None if there is none, or none that answers."""
        asked = (host for host in authorised_scouts(self.site, self.cluster) if host.name in self.facts.endpoints)
        return next(asked, None)

    @property
    def _said(self) -> Sections:
        return self.facts.endpoints[self._asker.name] if self._asker else Sections()

    @property
    def _nobody(self) -> str:
        return "no Scout host answers that may use it"

    @cached_property
    def _served(self) -> Mapping[str, str]:
        """The certificate that each node serves, PEM by host name."""
        found = {name: self._said[f"certificate@{at}"] for at, name in self.facts.addresses_of(self.cluster).items()}
        return {name: section.text for name, section in found.items() if section.ok}

    @property
    def _ends(self) -> datetime | None:
        """When the first of them expires."""
        return min((ends for pem in self._served.values() if (ends := certificates.expiry_of(pem))), default=None)

    @property
    def _has_expired(self) -> bool:
        return self._ends is not None and self._ends < self.facts.taken

    def _others(self) -> str:
        """Which nodes serve another certificate than the inventory's file, in words; empty if none does."""
        try:
            wanted = certificates.fingerprint_of(files.text_of(self.cluster.ollama.tls.certificate))
        except Trouble as trouble:
            return trouble.what
        others = [name for name, pem in self._served.items() if certificates.fingerprint_of(pem) != wanted]
        return f"on {', '.join(others)}" if others else ""
