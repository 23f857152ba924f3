#!/bin/sh
# What is there in one cluster, and what the wanted objects would become, read-only. Needs emit.sh and together.sh in front,
# and root.
# Arguments: MANAGER, the field manager and the label of our objects; the rest, the kinds to look for leftovers in.
# Standard input: the wanted objects, as YAML.
# shellcheck disable=SC2317  # functions are called through begin
manager=$1
shift
wanted=$(cat)
kinds=$(printf '%s,' "$@")

kubectl() { k3s kubectl --request-timeout=20s "$@"; }
live() { printf '%s\n' "$wanted" | kubectl get --filename - --ignore-not-found --output json; }
would_be() {
    printf '%s\n' "$wanted" |
        kubectl apply --server-side --dry-run=server --field-manager="$manager" --filename - --output json
}

begin nodes kubectl get nodes --output json
begin owned kubectl get "${kinds%,}" --all-namespaces --selector "app.kubernetes.io/managed-by=$manager" --output json
begin live live
begin would_be would_be
