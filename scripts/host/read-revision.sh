#!/bin/sh
# Print the objects of one of this cluster's revisions, read-only. Needs root. Arguments: STATE directory; NUMBER.
set -eu
exec cat "$1/revisions/$2.yaml"
