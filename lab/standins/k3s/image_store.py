"""The images a node has, kept in a file so that they outlive the service, as containerd's content store does."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from lab.standins.k3s.pull import Image
from lab.standins.k3s.registries import parse_reference

STORE = Path("/var/lib/rancher/k3s/agent/containerd/images.json")


class ImageStore:
    """Images by full name; every operation holds the file's lock, so `k3s crictl` and the service share it."""

    def __init__(self, path: Path = STORE) -> None:
        self._path = path

    def all(self) -> list[Image]:
        with self._locked() as images:
            return [images[name] for name in sorted(images)]

    def get(self, image: str) -> Image | None:
        """The image by any form of its name, or by its ID or a prefix of it."""
        with self._locked() as images:
            for found in images.values():
                if image in (found.image_id, found.repo_digest) or _is_id_prefix(image, found.image_id):
                    return found
            try:
                return images.get(str(parse_reference(image)))
            except ValueError:
                return None

    def add(self, image: Image) -> None:
        with self._locked() as images:
            images[image.name] = image

    def remove(self, image: Image) -> None:
        with self._locked() as images:
            images.pop(image.name, None)

    @contextmanager
    def _locked(self) -> Iterator[dict[str, Image]]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            before = file.read()
            images = {entry["name"]: Image(**entry) for entry in json.loads(before or "[]")}
            yield images
            after = json.dumps([asdict(i) for i in images.values()])
            if after != before:
                file.seek(0)
                file.truncate()
                file.write(after)


def _is_id_prefix(text: str, image_id: str) -> bool:
    return len(text) >= 12 and image_id.removeprefix("sha256:").startswith(text.removeprefix("sha256:"))
