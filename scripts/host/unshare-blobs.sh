#!/bin/sh
# Take back what share-blobs.sh gave to a run. Needs root.
# Arguments: NAME of the run; USER that it logged in as.
set -eu
name=$1 user=$2
rm -rf "/run/$name"
# shellcheck disable=SC2016  # it expands where it runs
runuser -u "$user" -- sh -euc '
umask 077
keys=$(readlink -e "$1/.ssh/authorized_keys") || exit 0
{ grep -av " $2\$" "$keys" || [ $? -eq 1 ]; } >"$keys.scout-ollama"
mv -fT "$keys.scout-ollama" "$keys"
' unshare "$(getent passwd "$user" | cut -d : -f 6)" "$name"
