"""Every check that there is, once, in the order in which they stand on each other.

Preflights and proofs name their findings by these; ``inv check`` looks at all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from scout_ollama.errors import Trouble


@dataclass(frozen=True)
class Check:
    """Something that must hold: in a few words, and what it means if it does not."""

    id: str
    holds: str
    about: str


CHECKS = (
    Check(
        "files",
        "what the inventory names is there on this machine",
        "Keys, certificates, CAs and passwords are files or variables of this machine. Each is looked for before "
        "any host is contacted.",
    ),
    Check(
        "name",
        "the host's name resolves",
        "Only where the inventory gives a name for an address. Nothing else can be known of a host without it.",
    ),
    Check(
        "network",
        "the host answers at its SSH port",
        "No answer means that it is off, or that a firewall is between; a refusal, that it is on and no sshd runs.",
    ),
    Check(
        "host-key",
        "the host's key is the one in known_hosts",
        "A host that was reinstalled has another key, and so has somebody who answers in its place. Nothing is "
        "sent there before a person has compared the key on its console.",
    ),
    Check("login", "the host lets us log in by key", "No password is ever asked for, and no agent is forwarded."),
    Check(
        "sudo",
        "sudo works without a password",
        "K3s's files and its API are root's. A sudo that asks would wait for ever where no terminal is.",
    ),
    Check(
        "answers",
        "the host answers what it is asked",
        "One script reads everything about a host. That it does not end means that a disk, a mount or a GPU hangs.",
    ),
    Check(
        "clock",
        "its clock is right",
        "More than five minutes off, and certificates and tokens are refused, and the audit lies.",
    ),
    Check(
        "disk",
        "there is space for images",
        "K3s evicts pods when less than 5 % of the disk below /var/lib/rancher is free: Ollama among them.",
    ),
    Check("curl", "curl is installed", "Proofs ask the registry and Ollama from the host itself, with curl."),
    Check(
        "gpu",
        "nvidia-smi shows the GPUs of the inventory",
        "One that is missing fell off the bus (Xid 79 in the kernel's log), or the driver does not fit the kernel"
        " since an upgrade. Kubernetes notices late or never.",
    ),
    Check(
        "default-runtime",
        "K3s's default runtime is there",
        "A K3s whose default-runtime is nvidia does not start again once the runtime's program is gone.",
    ),
    Check(
        "toolkit",
        "the NVIDIA container toolkit is installed",
        "With gpu_operator.toolkit: host the program must be on the host before K3s starts: it looks only then.",
    ),
    Check(
        "drop-ins",
        "containerd reads the operator's configuration",
        "With gpu_operator.toolkit: operator containerd is told of the runtime by a drop-in file, which older K3s"
        " do not import.",
    ),
    Check("nri", "K3s is new enough for NRI", "With gpu_operator.toolkit: nri containerd must run NRI plugins."),
    Check(
        "k3s",
        "K3s runs, in a version that is supported",
        "Also that /etc/rancher/k3s can be written: a file system that the kernel has made read-only is a dying disk.",
    ),
    Check(
        "registries",
        "registries.yaml can be read",
        "K3s passes over a file that is no YAML, and pulls from the internet, which an air gap has not.",
    ),
    Check(
        "registry",
        "Harbor answers the host",
        "Over TLS, with the CA that the inventory names, and with the user that it names.",
    ),
    Check(
        "share",
        "staging's share of models is there",
        "An empty directory where it should be mounted looks like a store without models.",
    ),
    Check(
        "api",
        "the cluster's API answers",
        "Through any of its servers. Without it nothing can be said of nodes, pods, or the operator.",
    ),
    Check(
        "node",
        "its node is known to the cluster, and Ready",
        "A node whose kubelet is silent keeps its pods on paper.",
    ),
    Check(
        "drained",
        "it is in service",
        "drain-host takes a node out of service and says why; undrain-host brings it back. Not a fault: a reminder.",
    ),
    Check(
        "taint",
        "its node has no taint that keeps Traefik away",
        "With nvidia.com/gpu:NoSchedule on it the endpoint does not answer on this node.",
    ),
    Check(
        "gpu-operator",
        "the GPU operator has come to its end on every rung",
        "Helm's Job, the operator, the node's labels, its device plugin, the validator: each can be green while "
        "the next is red, and the operator itself says ready with no GPU node at all.",
    ),
    Check(
        "gpu-memory",
        "its GPUs have the memory that is wanted",
        "ollama.min_gpu_memory_gib keeps Ollama from nodes with smaller ones.",
    ),
    Check(
        "store",
        "its model store is there",
        "The pod does not start without the directory, and serves nothing from an empty one.",
    ),
    Check(
        "objects",
        "the cluster's objects are what the inventory says",
        "Somebody changed them by hand, or the inventory was changed and not deployed. A Scout that uses another Ollama"
        " by now may still have its own.",
    ),
    Check(
        "pod",
        "its Ollama pod is ready and answers",
        "Asked by the pod's own address, from its own node: nobody else is let in by the network policy.",
    ),
    Check("version", "its Ollama is the version that is wanted", "As it says itself; a tag may hold something else."),
    Check(
        "seen",
        "its Ollama found its GPUs when it started",
        "Without them it answers by the processor, a hundred times slower, and says so nowhere but in its log.",
    ),
    Check(
        "models",
        "every wanted model is whole on staging and on every node, and the same",
        "Ollama lists a model whose blobs are missing or damaged like any other. inv verify-models hashes them.",
    ),
    Check(
        "preload",
        "what is declared preload is in memory",
        "The first question to a model that is not has to wait until it is read from disk. inv pull-models loads it.",
    ),
    Check(
        "certificate",
        "the endpoint's certificate is good, and served by every node",
        "Traefik serves one of its own where it does not like the one it was given. Less than 30 days left is told.",
    ),
    Check(
        "endpoint",
        "the endpoint answers a Scout on every node",
        "By its name, over TLS, from a Scout host that the allow-list admits.",
    ),
    Check(
        "access",
        "who may reach Ollama does, and nobody else",
        "Every way in is tried from every other host of the site. inv check-access shows each.",
    ),
    Check(
        "open-webui",
        "Open WebUI uses the Ollama that the inventory says, and reaches it",
        "As it says itself: what is saved in its database counts, and neither its environment nor the chart's values.",
    ),
)

ORDER = {check.id: at for at, check in enumerate(CHECKS)}


def check_of(id: str) -> Check:
    """Return a check by its name.

    Raises:
        Trouble: there is none of that name.
    """
    if id not in ORDER:
        raise Trouble(f"there is no check {id}", why=f"there are {', '.join(ORDER)}", next="inv check --explain gpu")
    return CHECKS[ORDER[id]]
