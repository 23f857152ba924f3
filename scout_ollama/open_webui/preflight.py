"""Whether Open WebUI's pod can use an Ollama, judged before anything is changed: and what would have to be."""

from __future__ import annotations

from dataclasses import dataclass

from scout_ollama.errors import Trouble
from scout_ollama.open_webui.answers import within
from scout_ollama.open_webui.configuration import Json
from scout_ollama.open_webui.target import Target


@dataclass(frozen=True)
class Way:
    """What the pod needs for its way to an Ollama: the authority's certificate, the name among those without proxy."""

    needs_trust: bool = False
    needs_no_proxy: bool = False


def judge(target: Target, probe: Json, verified: Json) -> Way:
    """Return what is needed; ``probe`` is what the pod tried itself, ``verified`` what Open WebUI did.

    Raises:
        Trouble: nothing that is done here would help.
    """
    if verified["status"] == 200:
        return Way()
    what = f"Open WebUI cannot use {target.url}"
    check = f"inv check-access --hosts {target.cluster.name}" if target.cluster else f"curl -v {target.url}/api/version"
    if probe["name"]:
        why = f"its pod does not find the name {target.hostname}: {probe['name']}"
        raise Trouble(
            what, why=why, next="have the cluster's name server know it: kubectl -n kube-system edit cm coredns"
        )
    if probe["tcp"]:
        proxy = (
            f"; there is a proxy, {probe['proxy']}, and that does not let it through either" if probe["proxy"] else ""
        )
        raise Trouble(what, why=f"its pod does not reach {target.endpoint}: {probe['tcp']}{proxy}", next=check)
    if probe["tls"] and probe["tls_with_ca"]:
        why = f"its pod does not trust the certificate: {probe['tls_with_ca']}"
        then = f"correct ollama.tls.ca of {target.cluster.name}.yaml" if target.cluster else check
        raise Trouble(what, why=why, next=then if target.ca or not target.cluster else then.replace("correct", "set"))
    if errors := [answer["error"] for answer in probe["answers"].values() if "error" in answer]:
        raise Trouble(what, why=f"it is reached, and answers: {errors[0]}", next=check)
    way = Way(needs_trust=bool(probe["tls"]), needs_no_proxy=bool(probe["proxy"]))
    if way == Way():
        why = f"its pod reaches it, and Open WebUI does not: {within(verified, 'answer', 'detail') or ''}"
        raise Trouble(what, why=why, next="look at AIOHTTP_CLIENT_* and the proxies in the pod's environment")
    return way
