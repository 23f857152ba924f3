"""A host key that the site's known_hosts does not vouch for is refused, whoever presents it."""

from __future__ import annotations

from dataclasses import dataclass

import paramiko

from scout_ollama.known_hosts import HostKey, KnownHosts, Verdict
from scout_ollama.remote.protocol import HostKeyRefused
from scout_ollama.remote.route import Hop


@dataclass(frozen=True)
class OnlyKnown(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]  # Paramiko has no type hints
    """For a client whose own tables of host keys are empty, so that every key comes before this policy."""

    hop: Hop
    known_hosts: KnownHosts

    def missing_host_key(self, client: object, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002 - Paramiko's
        """Raise HostKeyRefused unless known_hosts has this key for this host."""
        presented = HostKey(key.get_name(), key.asbytes())
        match self.known_hosts.verdict(self.hop.known_as, presented):
            case Verdict.KNOWN:
                return
            case Verdict.UNKNOWN:
                raise self._unknown(presented)
            case Verdict.CHANGED:
                raise self._changed(presented)
            case Verdict.REVOKED:
                raise self._revoked(presented)

    def _unknown(self, key: HostKey) -> HostKeyRefused:
        return HostKeyRefused(
            "presents a host key that is not known",
            host=self.hop.title,
            why=f"received {key}\n{self.known_hosts.path} has no key for {self.hop.known_as}",
            next=f"{self._compare()}, then {self._trust(key)}",
        )

    def _changed(self, key: HostKey) -> HostKeyRefused:
        known = self.known_hosts.of(self.hop.known_as)
        stale = ", ".join(str(entry.line) for entry in self.known_hosts.rivals(self.hop.known_as, key))
        delete = f", then delete line {stale} of {self.known_hosts.path}" if stale else ""
        return HostKeyRefused(
            "presents another host key than the known one: it was reinstalled, or somebody else answers",
            host=self.hop.title,
            why=f"received {key}\nexpected " + " or ".join(str(entry.key) for entry in known),
            next=f"{self._compare()}{delete}, then {self._trust(key)}",
        )

    def _revoked(self, key: HostKey) -> HostKeyRefused:
        return HostKeyRefused(
            "presents a host key that is revoked",
            host=self.hop.title,
            why=f"{key} is marked @revoked in {self.known_hosts.path}",
            next=f"find out who answers at {self.hop.address}; nothing was sent there",
        )

    def _compare(self) -> str:
        return "compare with the host's console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub)"

    def _trust(self, key: HostKey) -> str:
        return f"inv trust-host --hosts {self.hop.host} --fingerprint {key.fingerprint}"
