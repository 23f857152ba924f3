"""What usually keeps a rung of the ladder from being done, and what to look at: for whoever waits in vain."""

from __future__ import annotations

from scout_ollama.gpu_operator.ladder import Rung, RungName

_IMAGE = "an image is missing: in an air gap, from Harbor; inv list-images says which there are"

_USUAL: dict[RungName, str] = {
    "chart": "usually Helm cannot run: its image is not on the nodes, every node is tainted, or a value is wrong",
    "operator": f"usually {_IMAGE}; or every node is tainted",
    "node": "usually K3s does not run there, or the host is away",
    "labels": "usually the pod of node feature discovery does not run there, or the GPU is not on the PCI bus",
    "plugin": "usually the NVIDIA runtime was installed after K3s had started, or a GPU fell off the bus",
    "features": f"usually {_IMAGE}",
    "validator": "usually driver and container toolkit of the host do not fit, or CUDA cannot use the GPU",
    "policy": "usually a part that is not needed for GPUs cannot run; gpu_operator.values can switch it off",
}
_BY_WORD = {
    "ImagePull": f"usually {_IMAGE}",
    "no runtime for": "usually the NVIDIA runtime came after K3s had started: K3s looks for it at its start only",
    "it finds no place": "usually every node has a taint that it does not tolerate, or is cordoned",
}


def usual(rung: Rung) -> str:
    """Return the usual cause, by what the pod says of itself where that is telling, else by the rung."""
    said = " ".join([rung.reason, *rung.events])
    return next((cause for word, cause in _BY_WORD.items() if word in said), _USUAL[rung.name])
