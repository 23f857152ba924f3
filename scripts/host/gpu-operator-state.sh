#!/bin/sh
# How far the GPU operator is in this cluster, read-only. Needs emit.sh and together.sh in front, and root.
# Takes no arguments, so that it can go in front of another script and answer beside it.
# shellcheck disable=SC2317  # functions are called through begin
charts=kube-system
namespace=gpu-operator

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

begin gpu.clock date +%s
begin gpu.chart chart
begin gpu.jobs get jobs,pods --namespace "$charts" --selector helmcharts.helm.cattle.io/chart=gpu-operator
begin gpu.jobs.events get events --namespace "$charts" --field-selector type=Warning
begin gpu.releases releases
begin gpu.operators get deployments --all-namespaces --selector app.kubernetes.io/component=gpu-operator
begin gpu.objects get deployments,daemonsets,pods --namespace "$namespace"
begin gpu.events get events --namespace "$namespace" --field-selector type=Warning
begin gpu.policies get clusterpolicies.nvidia.com
begin gpu.nodes get nodes
begin gpu.holders holders
