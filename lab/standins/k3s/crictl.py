"""`k3s crictl`: pull, images, rmi, ps and info, against the node's runtime."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from lab.standins.k3s import containerd_config, containers, runtime
from lab.standins.k3s.image_store import ImageStore
from lab.standins.k3s.pull import Image, PullError, pull
from lab.standins.k3s.registries import parse_reference

SOCKET = "unix:///run/k3s/containerd/containerd.sock"


def main(arguments: list[str]) -> int:
    """Run one crictl command; the exit status."""
    parser = argparse.ArgumentParser(prog="crictl")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("pull").add_argument("image")
    commands.add_parser("images", aliases=["image", "img"]).add_argument("-o", "--output", choices=["json", "table"])
    commands.add_parser("rmi").add_argument("image", nargs="+")
    ps = commands.add_parser("ps")
    ps.add_argument("-a", "--all", action="store_true")
    ps.add_argument("-o", "--output", choices=["json", "table"])
    commands.add_parser("info")
    wanted = parser.parse_args(arguments)
    if os.geteuid() != 0:
        return _fatal(f"validate CRI v1 runtime API for endpoint {SOCKET!r}: dial unix: connect: permission denied")
    if not runtime.is_running():
        return _fatal(f"validate CRI v1 runtime API for endpoint {SOCKET!r}: dial unix: connect: connection refused")
    store = ImageStore()
    match wanted.command:
        case "pull":
            return _pull(store, wanted.image)
        case "rmi":
            return max(_remove(store, image) for image in wanted.image)
        case "ps":
            return _ps(wanted.output, everything=wanted.all)
        case "info":
            return _info()
    return _images(store, wanted.output)


def _fatal(message: str) -> int:
    print(f"FATA[0000] {message}", file=sys.stderr)
    return 1


def _pull(store: ImageStore, name: str) -> int:
    try:
        image = pull(name, runtime.registries_at_start())
        store.add(image)
    except (PullError, OSError) as error:
        return _fatal(f"pulling image: {error}")
    print(f"Image is up to date for {image.image_id}")
    return 0


def _remove(store: ImageStore, name: str) -> int:
    image = store.get(name)
    if image is None:
        return _fatal(f"no such image {name}")
    store.remove(image)
    print(f"Deleted: {image.name}")
    return 0


def _images(store: ImageStore, output: str | None) -> int:
    found = store.all()
    if output == "json":
        print(json.dumps({"images": [_image_json(i) for i in found]}, indent=2))
        return 0
    print(f"{'IMAGE':<55} {'TAG':<20} {'IMAGE ID':<20} SIZE")
    for image in found:
        reference = parse_reference(image.name)
        short = image.image_id.removeprefix("sha256:")[:13]
        repository = f"{reference.registry}/{reference.repository}"
        print(f"{repository:<55} {reference.tag or '<none>':<20} {short:<20} {image.size / 1e6:.3g}MB")
    return 0


def _image_json(image: Image) -> dict[str, Any]:
    tagged = parse_reference(image.name).tag
    return {
        "id": image.image_id,
        "repoTags": [image.name] if tagged else [],
        "repoDigests": [image.repo_digest],
        "size": str(image.size),
        "uid": None,
        "username": "",
        "spec": None,
        "pinned": False,
    }


def _ps(output: str | None, *, everything: bool) -> int:
    found = [
        (uid, name, container)
        for uid in containers.pods_on_node()
        for name in containers.names(uid)
        if (container := containers.Container.find(uid, name)) and (everything or container.alive())
    ]
    rows = [
        {
            "id": c.record.id,
            "podSandboxId": uid,
            "metadata": {"name": name, "attempt": c.record.attempt},
            "image": {"image": c.record.image},
            "imageRef": c.record.image_id,
            "state": "CONTAINER_RUNNING" if c.alive() else "CONTAINER_EXITED",
            "createdAt": str(int(c.record.started * 1e9)),
        }
        for uid, name, c in found
    ]
    if output == "json":
        print(json.dumps({"containers": rows}, indent=2))
        return 0
    print(f"{'CONTAINER':<15} {'IMAGE':<50} {'STATE':<10} {'NAME':<20} {'ATTEMPT':<8} POD ID")
    for uid, name, c in found:
        state = "Running" if c.alive() else "Exited"
        print(f"{c.record.id[:13]:<15} {c.record.image:<50} {state:<10} {name:<20} {c.record.attempt:<8} {uid[:13]}")
    return 0


def _info() -> int:
    config = containerd_config.with_drop_ins((Path(containerd_config.ROOT) / "config.toml").read_text())
    names = [n for n in ("nvidia", "runc") if containerd_config.has_runtime(config, n)]
    conditions = [
        {"type": kind, "status": True, "reason": "", "message": ""} for kind in ("RuntimeReady", "NetworkReady")
    ]
    runtimes = {n: {"runtimeType": "io.containerd.runc.v2"} for n in names}
    document = {
        "status": {"conditions": conditions},
        "config": {"containerd": {"defaultRuntimeName": "runc", "runtimes": runtimes}},
        "runtimeHandlers": [{"name": n} for n in ["", *names]],
    }
    print(json.dumps(document, indent=2))
    return 0
