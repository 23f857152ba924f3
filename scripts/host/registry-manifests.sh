#!/bin/sh
# What a registry of models says of some models, read-only: their manifests, whose sizes the plan shows.
# Needs emit.sh in front. Standard input: lines "NUMBER HOST REPOSITORY TAG".
# shellcheck disable=SC2317  # functions are called through emit
manifest() {
    curl --silent --show-error --fail --location --connect-timeout 5 --max-time 15 \
        --header 'Accept: application/vnd.docker.distribution.manifest.v2+json' "https://$1/v2/$2/manifests/$3"
}
while read -r number host repository tag; do emit "$number" manifest "$host" "$repository" "$tag"; done
