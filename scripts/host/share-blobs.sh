#!/bin/sh
# Let the nodes of one run read blobs here: a line in a user's authorized_keys with a forced command. Needs root.
# Arguments: NAME of the run, scout-ollama-CLUSTER-ID; CLUSTER; USER that logs in; HOURS until the line expires.
# Standard input, lines, the last one "end":
#   script BASE64     the forced command
#   key TYPE BASE64   the public key of the run
#   from ADDRESS      an IP address or a name that the key may be used from
#   readable PATH     a file that the user must be able to read, as Ollama itself leaves it
# Lines that earlier runs for the cluster left behind go: whoever runs this has the cluster's lock.
set -eu
name=$1 cluster=$2 user=$3 hours=$4
umask 022
wanted=$(cat)
case $wanted in
*end) ;;
*) echo "what is to be shared did not arrive whole: nothing is" >&2 && exit 1 ;;
esac
all() { printf '%s\n' "$wanted" | sed -n "s/^$1 //p"; }

all readable | while read -r file; do [ ! -f "$file" ] || chmod a+r "$file" || true; done
rm -rf "/run/scout-ollama-$cluster-"????????????????
mkdir -m 755 "/run/$name"
all script | base64 -d >"/run/$name/serve-blobs"

# sshd compares addresses; a name would have to be found from the address.
from=$(all from | while read -r address; do getent ahosts "$address" || echo "$address"; done | awk '{ print $1 }' | sort -u | paste -s -d , -)
expires=$(date -d "+$hours hours" +%Y%m%d%H%M)
line="restrict,from=\"$from\",expiry-time=\"$expires\",command=\"exec sh /run/$name/serve-blobs\" $(all key) $name"
# shellcheck disable=SC2016  # it expands where it runs
printf '%s\n' "$line" | runuser -u "$user" -- sh -euc '
umask 077
mkdir -p "$1/.ssh"
touch "$1/.ssh/authorized_keys"
keys=$(readlink -f "$1/.ssh/authorized_keys")
{ grep -aEv " scout-ollama-$2-[0-9a-f]{16}\$" "$keys" || [ $? -eq 1 ]; cat; } >"$keys.scout-ollama"
mv -fT "$keys.scout-ollama" "$keys"
' share "$(getent passwd "$user" | cut -d : -f 6)" "$cluster"
