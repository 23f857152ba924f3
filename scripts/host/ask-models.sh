#!/bin/sh
# Ask an Ollama pod on this node about its models, as the network policy lets only its own node do. Read-only.
# Needs emit.sh in front. Arguments: ADDRESS:PORT of the pod; then "ps", "tags" or names of models to show.
address=$1
shift
ask() { curl --silent --show-error --fail-with-body --max-time 60 "$@"; }
for about in "$@"; do
    case $about in
    ps | tags) emit "$about" ask "http://$address/api/$about" ;;
    # A name is letters, digits and -._:/, so it needs no quoting in JSON.
    *) emit "$about" ask --data "{\"model\": \"$about\"}" "http://$address/api/show" ;;
    esac
done
