#!/bin/sh
# Whether the registry has images, read-only. Needs emit.sh, together.sh and registry.sh in front.
# Arguments: URL... of manifests (…/v2/REPOSITORY/manifests/TAG). Prints a section for each, by its number from 1.
# A proxy project asks its upstream only for GET; Harbor answers HEAD without credentials 401, public or not.
accept="application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"
accept="$accept, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"

number=0
for url in "$@"; do
    number=$((number + 1))
    begin "$number" ask_registry "$url" --max-time 60 --header "Accept: $accept"
done
