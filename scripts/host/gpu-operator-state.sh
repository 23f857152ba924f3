#!/bin/sh
# How far the GPU operator is in this cluster, read-only. Needs emit.sh and together.sh in front, and root.
# Arguments: CHARTS, the namespace of the HelmChart and its Job; NAMESPACE, where the operator runs.
# shellcheck disable=SC2317  # functions are called through begin
charts=$1
namespace=$2

kubectl() { k3s kubectl --request-timeout=20s "$@"; }
get() { kubectl get --output json "$@"; }
# Neither the chart, which is large, nor the release, which is secret: what is said of them.
chart() {
    kubectl get helmchart gpu-operator --namespace "$charts" --ignore-not-found \
        --output jsonpath='{.metadata}{"\n"}{.status}'
}
releases() {
    kubectl get secrets --namespace "$namespace" --selector owner=helm,name=gpu-operator \
        --output jsonpath='{range .items[*]}{.metadata.labels}{"\n"}{end}'
}
# Every pod that has GPUs: namespace, name, node, and how many each of its containers has.
holders() {
    kubectl get pods --all-namespaces --field-selector status.phase=Running --output jsonpath='{range .items[*]}'\
'{.metadata.namespace}{" "}{.metadata.name}{" "}{.spec.nodeName}{" "}'\
'{range .spec.containers[*]}{.resources.limits.nvidia\.com/gpu}{","}{end}{"\n"}{end}'
}

begin clock date +%s
begin chart chart
begin jobs get jobs,pods --namespace "$charts" --selector helmcharts.helm.cattle.io/chart=gpu-operator
begin jobs.events get events --namespace "$charts" --field-selector type=Warning
begin releases releases
begin operators get deployments --all-namespaces --selector app.kubernetes.io/component=gpu-operator
begin objects get deployments,daemonsets,pods --namespace "$namespace"
begin events get events --namespace "$namespace" --field-selector type=Warning
begin policies get clusterpolicies.nvidia.com
begin nodes get nodes
begin holders holders
