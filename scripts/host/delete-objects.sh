#!/bin/sh
# Delete the objects on standard input (one JSON list: apiVersion, kind and name are enough). Needs root.
set -eu
exec k3s kubectl --request-timeout=60s delete --ignore-not-found --wait=false --filename -
