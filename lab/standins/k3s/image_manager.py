"""Images for containers: whether to pull, and the events about it. The texts are the kubelet's."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from lab.standins.k3s.image_store import ImageStore
from lab.standins.k3s.pull import Image, PullError, pull
from lab.standins.k3s.registries import Registries, parse_reference

Emit = Callable[[str, str, bool], None]
"""Called with reason, message and whether it is a warning."""


class ImageError(Exception):
    """A container has no image yet; `reason` is what it waits with."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class ImageManager:
    """The node's images, and where others come from."""

    store: ImageStore
    registries: Registries

    def ensure(self, name: str, policy: str | None, emit: Emit) -> Image:
        """The image, pulled if its policy or its absence asks for it. Raises ImageError."""
        try:
            reference = parse_reference(name)
        except ValueError as error:
            emit("InspectFailed", f'Failed to apply default image tag "{name}": {error}', True)
            raise ImageError("InvalidImageName", f'Failed to apply default image tag "{name}": {error}') from error
        policy = policy or ("Always" if reference.tag == "latest" else "IfNotPresent")
        present = self.store.get(name)
        if present is not None and policy != "Always":
            emit("Pulled", f'Container image "{name}" already present on machine', False)
            return present
        if policy == "Never":
            message = f'Container image "{name}" is not present with pull policy of Never'
            emit("ErrImageNeverPull", message, True)
            raise ImageError("ErrImageNeverPull", message)
        return self._pull(name, emit)

    def _pull(self, name: str, emit: Emit) -> Image:
        emit("Pulling", f'Pulling image "{name}"', False)
        begun = time.monotonic()
        try:
            image = pull(name, self.registries)
            self.store.add(image)
        except (PullError, OSError) as error:
            emit("Failed", f'Failed to pull image "{name}": {error}', True)
            emit("Failed", "Error: ErrImagePull", True)
            raise ImageError("ErrImagePull", str(error)) from error
        took = f"{time.monotonic() - begun:.3f}s"
        size = f"Image size: {image.size} bytes."
        emit("Pulled", f'Successfully pulled image "{name}" in {took} ({took} including waiting). {size}', False)
        return image
