"""A stand-in for the Kubernetes API server, for the lab: strict and small, used by the real kubectl.

In a process of its own, writing a kubeconfig to DIR/kubeconfig:

    python3 -m lab.standins.kube --data DIR --listen 10.0.0.1:6443 --token-file tokens.csv

or inside another one:

    from lab.standins.kube.server import kubeconfig, serve
    server = serve(Path("/var/lib/k3s"), {"secret-token": "admin"}, listen=("10.0.0.1", 6443), names=["gpu-1"])
    Path("kubeconfig").write_text(kubeconfig(server.url, server.files.ca, "secret-token"))
    client = server.client("scheduler")          # lab.standins.kube.client.Client
    server.close()

`serve(..., logs=callable)` answers for pods' logs: (pod, container, options) -> iterator of bytes, or ApiError at once;
without it the kubelet at the node's InternalIP is asked, with `kubelet_token` as bearer token:
GET http://IP:10250/containerLogs/NAMESPACE/POD/CONTAINER?follow=true&tailLines=10...

It serves discovery, OpenAPI v3, validation against the published schemas and the rules behind them, defaults, the four
patches and server-side apply with field ownership, dry run, watches, tables, owner references, finalizers, namespaces'
termination and custom kinds. It runs no controllers but the garbage collector: pods are created, bound and made ready
by whoever plays scheduler, controllers and kubelet. `tests/lab/test_kube_api_limits.py` lists what it does not do.
"""
