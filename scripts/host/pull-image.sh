#!/bin/sh
# Bring one image onto this node, through the registries that K3s has loaded. Argument: IMAGE. Needs root.
set -eu
exec timeout 900 k3s crictl pull "$1"
