"""Whether Harbor has the images that an air-gapped cluster is about to pull: asked from there, before any change."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from scout_ollama.errors import Trouble
from scout_ollama.facts import Section, Sections, facts_script, for_curl, parse_sections
from scout_ollama.inventory import Harbor
from scout_ollama.remote import Reader


def require(remote: Reader, cluster: str, images: Sequence[str], harbor: Harbor) -> None:
    """Make sure that Harbor has every image, as one host of the cluster is answered.

    Raises:
        Trouble: it lacks some, or does not say; all are named.
        RemoteError: the host cannot be asked.
    """
    places = {image: in_harbor(image, harbor) for image in images}
    urls = [_manifest(place) for place in places.values() if place]
    script = facts_script("together", "registry", "ask-images")
    answers = (
        parse_sections(remote.read(script, *urls, stdin=for_curl(harbor), timeout=90).stdout) if urls else Sections()
    )
    numbered = iter(range(1, len(urls) + 1))
    lacking = [
        f"{image}: {flaw}"
        for image, place in places.items()
        if (flaw := _flaw(image, answers[str(next(numbered))] if place else None))
    ]
    if lacking:
        raise Trouble(
            f"{cluster}: Harbor lacks {len(lacking)} of {len(images)} images that are needed now: nothing was changed",
            host=remote.host.name,
            why="\n".join(lacking),
            next=f"bring them into Harbor, or correct harbor.projects; inv list-images --hosts {cluster} says what for",
        )


def in_harbor(image: str, harbor: Harbor) -> str | None:
    """Return where containerd asks for an image, by the rewrites of ``registries.yaml``; None without a project."""
    registry, _, path = image.partition("/")
    project = harbor.projects.get(registry)
    library = "library/" if registry == "docker.io" and "/" not in path else ""
    return f"{urlsplit(harbor.url).netloc}/{project}/{library}{path}" if project else None


def _manifest(place: str) -> str:
    """Return the URL of a manifest from ``HOST/REPOSITORY:TAG`` or ``HOST/REPOSITORY@DIGEST``."""
    host, _, path = place.partition("/")
    repository, _, reference = path.rpartition("@" if "@" in path else ":")
    return f"https://{host}/v2/{repository}/manifests/{reference}"


def _flaw(image: str, answer: Section | None) -> str:
    """Return what is wrong with an answer; None is for an image that Harbor has no project for."""
    if answer is None:
        return f"harbor.projects has none for {image.partition('/')[0]}"
    if not answer.ok:
        return (answer.text.strip().splitlines() or ["it did not answer"])[-1]
    if answer.text == "200":
        return ""
    if answer.text in ("401", "403"):
        return f"not there, or not for this user (HTTP {answer.text})"
    return f"not there (HTTP {answer.text})"
