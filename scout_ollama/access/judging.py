"""What was tried and seen, judged: facts become rows, and nothing is asked of anybody here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from scout_ollama import certificates
from scout_ollama.access.answer import LET_THROUGH, NO_WAY, REFUSALS, Answer, parsed
from scout_ollama.access.causes import VERSION_PATH, Cause, Causes
from scout_ollama.access.exposure import Exposure
from scout_ollama.access.row import Row, Verdict
from scout_ollama.errors import Trouble
from scout_ollama.facts import Section, Sections
from scout_ollama.hints import on
from scout_ollama.inventory import Host, OllamaCluster
from scout_ollama.manifests import ObjectKey

CHANGING = ("pull", "push", "create", "copy", "delete", "blobs")
"""Sections of try-access.sh, each for the path /api/… that changes models."""

# curl's exit status where it does not trust the certificate, or cannot use the authority's.
_NOT_VERIFIED = frozenset({51, 60, 77})

BY_NAME = "by name"
REFUSED = "refused"


@dataclass(frozen=True)
class Judge:
    """Judges one cluster; ``nodes`` are host names by address, ``now`` is what certificates are judged by."""

    cluster: OllamaCluster
    nodes: Mapping[str, str]
    exposure: Exposure
    now: datetime

    @property
    def causes(self) -> Causes:
        """Where to look for causes."""
        return Causes(self.cluster, self.exposure)

    def of_scout(self, host: Host, sections: Sections) -> Iterator[Row]:
        """Judge what a host saw whose Scout uses the cluster: the endpoint works, and nothing else does."""
        for where, suffix in self._places():
            yield self._endpoint(host, where, suffix, sections)
        yield from self._in_the_clear(host, sections)
        for name in CHANGING:
            yield self._change(host, name, parsed(sections[name]), connects=True)
        yield from self._ports(host, sections)

    def of_stranger(self, host: Host, sections: Sections) -> Iterator[Row]:
        """Judge what a host saw that has no business with the cluster: nothing answers it."""
        for where, suffix in self._places():
            answer = parsed(sections[f"https{suffix}"])
            if answer.ollama or answer.status in LET_THROUGH:
                cause = self.causes.open_to_a_stranger(host, VERSION_PATH)
                yield Row(host.name, "https", where, REFUSED, _let_through(answer), "hole", *cause)
            elif answer.turned_away or answer.status in REFUSALS:
                yield Row(host.name, "https", where, REFUSED, answer.seen, "ok")
            else:
                yield self._unclear(host, "https", where, REFUSED, answer)
        yield from self._in_the_clear(host, sections)
        for name in CHANGING:
            yield self._change(host, name, parsed(sections[name]), connects=False)
        yield from self._ports(host, sections)

    def of_cluster(self) -> Iterator[Row]:
        """Judge what the cluster's objects say: nothing leads past the ingress, and no MCP server is there."""
        past = "a port of the nodes leads to Ollama without TLS and allow-list"
        yield self._absent("ways past the ingress", self.exposure.bypasses(), "hole", past)
        mcp = "MCP tools belong on Scout, behind its login: here whoever gets through the firewall could use them"
        yield self._absent("MCP servers", self.exposure.mcp(), "fault", mcp)

    def _absent(self, tried: str, found: Sequence[ObjectKey], verdict: Verdict, why: str) -> Row:
        """What a cluster should have none of."""
        if not found:
            return Row(self.cluster.name, tried, "", "none", "none", "ok")
        seen = ", ".join(map(str, found))
        return Row(self.cluster.name, tried, "", "none", seen, verdict, why, self.causes.describe(found[0]))

    def _places(self) -> list[tuple[str, str]]:
        """Where a way is tried, and what the names of its sections end in."""
        return [(BY_NAME, ""), *((f"on {node}", f"@{address}") for address, node in self.nodes.items())]

    def _endpoint(self, host: Host, where: str, suffix: str, sections: Sections) -> Row:
        verified = sections[f"version{suffix}" if suffix else "tags"]
        served, answer = sections[f"certificate{suffix}"], parsed(sections[f"https{suffix}"])

        def row(seen: str, verdict: Verdict, cause: Cause) -> Row:
            return Row(host.name, "https", where, "verified TLS", seen, verdict, *cause)

        if answer.outcome in ("untried", "failed"):
            return self._unclear(host, "https", where, "verified TLS", answer)
        if answer.status == 403:
            return row(answer.seen, "fault", self.causes.shut_to_a_scout(host))
        if not answer.ollama:
            return row(answer.seen, "fault", self._out_of_reach(host, suffix, answer))
        return self._certificate(row, verified, served)

    def _out_of_reach(self, host: Host, suffix: str, answer: Answer) -> Cause:
        url, hostname = self.cluster.url, self.cluster.ollama.hostname
        if answer.outcome == "unresolved":
            return Cause(f"{host.name} knows no address of {hostname}", on(host, f"getent hosts {hostname}"))
        if answer.status in LET_THROUGH:
            return Cause("no Ollama is ready behind the ingress", self.causes.look("pods -A -o wide"))
        if answer.status == 404:
            return Cause("the ingress has no route for it, or Traefik left it out", self.causes.deploy)
        why = "the node or its ingress is away, or a firewall is between"
        if answer.status:
            why = "that is no answer of Ollama's: something else serves the name"
        resolve = f"--resolve {hostname}:443:{suffix[1:]} " if suffix else ""
        return Cause(why, on(host, f"curl -v {resolve}{url}{VERSION_PATH}"))

    def _certificate(self, row: Callable[[str, Verdict, Cause], Row], verified: Section, served: Section) -> Row:
        """An Ollama answers: by which certificate, and for how long still."""
        given, expiry = self.cluster.ollama.tls.certificate, certificates.expiry_of(served.text)
        renew = f"renew it, put it in {given}, then {self.causes.deploy}"
        if not served.ok or expiry is None:
            reason = _last_line(served) or "openssl said nothing"
            return row("Ollama, certificate unknown", "could not tell", Cause(reason, self.causes.deploy))
        if expiry <= self.now:
            return row("certificate has expired", "fault", Cause(f"it expired on {expiry:%Y-%m-%d}", renew))
        if certificates.fingerprint_of(served.text) != certificates.fingerprint(given):
            why = f"not {given}: Traefik serves its own default where the Secret is missing or does not name the host"
            return row("another certificate", "fault", Cause(why, self.causes.deploy))
        if not verified.ok:
            why = _last_line(verified) or "curl said nothing"
            if verified.status in _NOT_VERIFIED:
                return row("certificate not verified", "fault", Cause(why, "correct ollama.tls in the inventory"))
            return row("Ollama, not every time", "fault", Cause(why, self.causes.look("nodes,pods -A -o wide")))
        seen = f"Ollama, certificate for {(expiry - self.now).days} days"
        warn = expiry - self.now < certificates.SOON
        return row(seen, "ok", Cause(f"its certificate expires on {expiry:%Y-%m-%d}", renew) if warn else Cause("", ""))

    def _in_the_clear(self, host: Host, sections: Sections) -> Iterator[Row]:
        for where, suffix in self._places():
            answer = parsed(sections[f"http{suffix}"])
            if answer.ollama or answer.status in LET_THROUGH:
                cause = self.causes.open_without_tls()
                yield Row(host.name, "http", where, "no Ollama", _let_through(answer), "hole", *cause)
            elif answer.turned_away or answer.status:
                yield Row(host.name, "http", where, "no Ollama", answer.seen, "ok")
            else:
                yield self._unclear(host, "http", where, "no Ollama", answer)

    def _change(self, host: Host, name: str, answer: Answer, *, connects: bool) -> Row:
        """One path that changes models. Ollama itself answers JSON, also where it refuses."""
        tried, path = "changing models by", f"/api/{name}"
        if answer.status in NO_WAY and not answer.json:
            return Row(host.name, tried, path, REFUSED, answer.seen, "ok")
        if answer.status:
            cause = self.causes.open_path(path) if connects else self.causes.open_to_a_stranger(host, path)
            return Row(host.name, tried, path, REFUSED, f"let through (HTTP {answer.status})", "hole", *cause)
        if not connects and answer.turned_away:
            return Row(host.name, tried, path, REFUSED, answer.seen, "ok")
        return self._unclear(host, tried, path, REFUSED, answer)

    def _ports(self, host: Host, sections: Sections) -> Iterator[Row]:
        for address, node in self.nodes.items():
            answer, where = parsed(sections[f"port@{address}"]), f"on {node}"
            if answer.unconnected:
                yield Row(host.name, "port 11434", where, "no connection", answer.seen, "ok")
            elif answer.ollama:
                cause = self.causes.open_port(node)
                yield Row(host.name, "port 11434", where, "no connection", answer.seen, "hole", *cause)
            elif answer.outcome in ("untried", "failed"):
                yield self._unclear(host, "port 11434", where, "no connection", answer)
            else:
                cause = Cause("something listens there, Ollama or not", self.causes.listeners(11434, node))
                yield Row(host.name, "port 11434", where, "no connection", answer.seen, "could not tell", *cause)

    def _unclear(self, host: Host, tried: str, where: str, expected: str, answer: Answer) -> Row:
        if answer.outcome == "untried":
            cause = self._install_curl(host)
        else:
            why = "no answer of Ollama or its ingress" if answer.status else "no answer that would prove anything"
            cause = Cause(why, on(host, f"curl -kv {self.cluster.url}"))
        return Row(host.name, tried, where, expected, answer.seen, "could not tell", *cause)

    def _install_curl(self, host: Host) -> Cause:
        return Cause("it is tried with curl", on(host, "sudo apt-get install -y curl || sudo dnf install -y curl"))


def unreachable(host: str, tried: str, trouble: Trouble) -> Row:
    """The row of what could not be asked."""
    return Row(host, tried, "", "an answer", trouble.what, "could not tell", trouble.why, trouble.next)


def _let_through(answer: Answer) -> str:
    return answer.seen if answer.ollama else f"let through ({answer.seen})"


def _last_line(section: Section) -> str:
    return (section.text.strip().splitlines() or [""])[-1]
