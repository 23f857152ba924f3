#!/bin/sh
# Apply the objects on standard input (one JSON list) server-side. Argument: MANAGER, the field manager. Needs root.
set -eu
exec k3s kubectl --request-timeout=60s apply --server-side --field-manager="$1" --filename -
