#!/bin/sh
# Fetch blobs from one upstream, each hashed while it arrives and given its name in blobs/ only when that is right. Needs root.
# Arguments: STORE directory; UPSTREAM, USER@ADDRESS of a host or a DIRECTORY on this one; PORT of the host's sshd.
# Standard input, lines, the last one "end":
#   key BASE64          the private key to log in to the upstream with
#   known BASE64        its known_hosts lines
#   blob NAME SIZE      in this order
# The upstream may still be receiving a blob: it is followed while it grows. What is in incoming/ already is not fetched again.
# Prints "begin NAME BYTES", "progress NAME BYTES" about once a second, "done NAME".
# Ends with 75 if the upstream has no bytes for 15 s, with 69 if it cannot be reached,
# with 74 if a blob cannot be written, with 65 if a blob is not what its name says.
set -eu
store=$1 upstream=$2 port=$3
incoming=$store/.scout-ollama/incoming
STALL_SECONDS=15
umask 022
mkdir -p "$incoming"
exec 9<"$incoming"
flock -w 60 9 || { echo "another run still copies to $store" >&2 && exit 1; }
# On /run, which is in memory: the key never reaches a disk.
rm -rf /run/scout-ollama-fetch.??????
work=$(mktemp -d /run/scout-ollama-fetch.XXXXXX)
children=
# shellcheck disable=SC2329  # the trap calls it
clean_up() {
    # shellcheck disable=SC2086  # a list of pids
    [ -z "$children" ] || kill $children 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM
cat >"$work/wanted"
[ "$(tail -n 1 "$work/wanted")" = end ] || { echo "what is to be fetched did not arrive whole" >&2 && exit 1; }
all() { sed -n "s/^$1 //p" "$work/wanted"; }
(umask 077 && all key | base64 -d >"$work/key")
all known | base64 -d >"$work/known"
mkfifo "$work/arriving" "$work/hashing"

# openssl is several times as fast as sha256sum where the processor helps.
sum() { if command -v openssl >/dev/null; then openssl dgst -sha256 -r; else sha256sum; fi; }
size_of() { stat -c %s "$incoming/$1"; }
# Print a blob from an offset on, while it grows.
send() {
    case $upstream in
    /*)
        while [ "$(stat -c %s "$upstream/$1" || echo "$2")" -lt "$2" ]; do sleep 0.2; done
        exec tail --bytes=+$(($2 + 1)) --follow --sleep-interval=0.2 --pid=$$ -- "$upstream/$1"
        ;;
    esac
    exec ssh -F /dev/null -T -n -p "$port" -i "$work/key" -o IdentitiesOnly=yes -o BatchMode=yes \
        -o StrictHostKeyChecking=yes -o UserKnownHostsFile="$work/known" -o GlobalKnownHostsFile=/dev/null \
        -o ConnectTimeout=10 -o ServerAliveInterval=5 -o ServerAliveCountMax=2 -o LogLevel=ERROR \
        -c aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr \
        "$upstream" "$1 $2"
}
# Say how far a blob is; end its sender when no byte comes any more, and everything when nobody listens.
watch() {
    trap '' PIPE
    last=$(size_of "$1") idle=0
    while sleep 1 >/dev/null 2>&1; do
        now=$(size_of "$1")
        if [ "$now" = "$last" ]; then idle=$((idle + 1)); else idle=0; fi
        last=$now
        if ! kill -0 $$ || ! echo "progress $1 $now"; then kill "$2" $$ && exit; fi 2>/dev/null
        if [ "$idle" -ge "$STALL_SECONDS" ]; then touch "$work/stalled" && kill "$2" && exit; fi
    done
}

# Add to a blob what it lacks.
receive() {
    status=0
    send "$1" "$3" >"$work/arriving" 2>"$work/said" &
    sender=$!
    head -c $(($2 - $3)) <"$work/arriving" >>"$incoming/$1" 2>"$work/full" &
    writer=$!
    watch "$1" "$sender" &
    watcher=$!
    children="$children $sender $writer $watcher"
    wait "$writer" || status=$?
    kill "$watcher" 2>/dev/null || true
    wait "$watcher" 2>/dev/null || true
    if [ "$(size_of "$1")" -eq "$2" ]; then
        kill "$sender" 2>/dev/null || true
        wait "$sender" 2>/dev/null || true
        return
    fi
    [ "$status" -eq 0 ] || { cat "$work/full" >&2 && exit 74; }
    [ ! -e "$work/stalled" ] || { echo "no byte of $1 for $STALL_SECONDS s" >&2 && exit 75; }
    wait "$sender" || status=$?
    cat "$work/said" >&2
    [ "$status" -ne 66 ] || exit 75
    exit 69
}

fetch() {
    file=$incoming/$1 size=$2
    touch "$file"
    have=$(size_of "$1")
    # A file with holes is not what arrived: it was there in its full size before it had its bytes.
    if [ "$have" -gt "$size" ] || [ $(($(stat -c '%b * %B' "$file"))) -lt "$have" ]; then
        rm -f "$file" && touch "$file"
        have=0
    fi
    echo "begin $1 $have"
    rm -f "$work/stalled"
    tail --bytes=+1 --follow --sleep-interval=0.2 --pid=$$ "$file" >"$work/hashing" 2>/dev/null &
    follower=$!
    head -c "$size" <"$work/hashing" | sum >"$work/sum" &
    hasher=$!
    children="$follower $hasher"
    [ "$have" -eq "$size" ] || receive "$1" "$size" "$have"
    wait "$hasher"
    kill "$follower" 2>/dev/null || true
    wait "$follower" 2>/dev/null || true
    children=
    if [ "sha256-$(cut -d ' ' -f 1 <"$work/sum")" != "$1" ]; then
        rm -f "$file"
        echo "$1 is not what its name says" >&2
        exit 65
    fi
    # Ollama prunes by age what no manifest names yet.
    chmod 644 "$file"
    touch "$file"
    sync -d "$file"
    mv -fT "$file" "$store/blobs/$1"
    echo "done $1"
}

all blob >"$work/blobs"
while read -r blob size <&3; do fetch "$blob" "$size"; done 3<"$work/blobs"
