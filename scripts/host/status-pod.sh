#!/bin/sh
# How the Ollama pod on this node is, read-only and quick. Needs emit.sh and together.sh in front.
# Argument: ADDRESS:PORT of the pod.
for about in version tags ps; do
    begin "$about" curl --silent --show-error --fail --connect-timeout 3 --max-time 8 "http://$1/api/$about"
done
