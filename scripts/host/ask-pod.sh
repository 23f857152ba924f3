#!/bin/sh
# Ask an Ollama pod on this node who it is, as the network policy lets only its own node do. Read-only.
# Needs emit.sh in front. Argument: ADDRESS:PORT of the pod.
emit version curl --silent --show-error --fail --max-time 20 "http://$1/api/version"
