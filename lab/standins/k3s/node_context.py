"""What the pods of a node share."""

from dataclasses import dataclass

from lab.standins.k3s.api import Api
from lab.standins.k3s.events import Recorder
from lab.standins.k3s.gpus import Ledger
from lab.standins.k3s.hostinfo import HostInfo
from lab.standins.k3s.image_manager import ImageManager
from lab.standins.k3s.objects import Object
from lab.standins.k3s.world import World


@dataclass(frozen=True)
class NodeContext:
    """One for all; none of it changes while the service runs."""

    host: HostInfo
    api: Api
    world: World
    recorder: Recorder
    images: ImageManager
    gpus: Ledger
    containerd_config: str  # config.toml as rendered when the service started

    def secret(self, namespace: str, name: str) -> Object | None:
        return self.api.get("v1/secrets", namespace, name)

    def claimed(self, namespace: str, claim: str) -> Object | None:
        """The volume that a claim is bound to; None when it is not, or there is none."""
        found = self.api.get("v1/persistentvolumeclaims", namespace, claim)
        name = ((found or {}).get("spec") or {}).get("volumeName")
        return self.api.get("v1/persistentvolumes", "", name) if name else None

    def token(self, pod: Object, audience: str, seconds: int) -> str:
        """A new token of the pod's service account, bound to the pod."""
        return self.api.token(pod, audience, seconds)

    def config_map(self, namespace: str, name: str) -> Object | None:
        return self.api.get("v1/configmaps", namespace, name)
