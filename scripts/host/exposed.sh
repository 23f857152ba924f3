#!/bin/sh
# What decides in a cluster who can reach what, read-only. Needs emit.sh in front, and root.
kubectl() { k3s kubectl --request-timeout=20s get "$@" --output json; }

emit nodes kubectl nodes
emit workloads kubectl services,daemonsets,deployments,statefulsets,pods --all-namespaces
emit routes kubectl ingresses,middlewares.traefik.io --all-namespaces
