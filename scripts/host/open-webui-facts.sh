#!/bin/sh
# What there is of Open WebUI and of an Ollama beside it, read-only. Needs emit.sh and together.sh in front, and root.
# Arguments, taken away from those of a script behind this one: NAMESPACE of Open WebUI; RECORDS directory of what was there
# before; MANAGER to be told of volumes, of others that have an Ollama's URL, and of its own DaemonSets too, or "".
# shellcheck disable=SC2317  # functions are called through begin
namespace=$1
records=$2
manager=$3
shift 3

kubectl() { k3s kubectl --request-timeout=20s "$@"; }
open_webui() {
    kubectl get statefulsets,deployments,daemonsets,pods,services,persistentvolumeclaims \
        --namespace "$namespace" --show-managed-fields --output json
}
# Who has the URL of an Ollama in its own environment: kind and name, a tab, the URL.
consumers() {
    one='{.kind} {.metadata.namespace}/{.metadata.name}{"\t"}'
    value='{.spec.template.spec.containers[*].env[?(@.name=="OLLAMA_URL")].value}'
    kubectl get deployments,statefulsets,daemonsets --all-namespaces --output "jsonpath={range .items[*]}$one$value{\"\n\"}{end}"
    # JupyterHub keeps what its notebooks get in a Secret, of which the URL alone is told.
    values='{.data.values\.yaml}'
    kubectl get secrets --all-namespaces --selector component=hub --output "jsonpath={range .items[*]}$one$values{\"\n\"}{end}" |
        while IFS="$(printf '\t')" read -r name data; do
            printf '%s\t%s\n' "$name" "$(printf '%s' "$data" | base64 -d | tr -d "\"'" | grep -o 'http[^ ]*11434' | head -n 1)"
        done
}
own() {
    kubectl get daemonsets --all-namespaces --selector "app.kubernetes.io/managed-by=$manager" \
        --output 'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}{"\n"}{end}'
}
newest() { find "$records" -name '[1-9]*.json' -printf '%f\n' 2>/dev/null | sort -n | tail -n 1; }
record() { [ -z "$(newest)" ] || cat "$records/$(newest)"; }

begin open-webui open_webui
begin record record
if [ -n "$manager" ]; then
    begin volumes kubectl get persistentvolumes --output json
    begin consumers consumers
    begin own own
fi
