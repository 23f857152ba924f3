# Sent after emit.sh, in front of scripts whose questions need not wait for each other.
#
# begin NAME COMMAND [ARG...]: start the command beside the others. When the script ends, all of them are waited for, and
# emitted in the order in which they were begun.
# shellcheck shell=sh disable=SC2154  # emit_errors is emit.sh's
begun=$(mktemp -d)
trap 'emit_begun; rm -rf "$emit_errors" "$begun"' EXIT

begin() {
    begun_name=$1
    shift
    printf '%s\n' "$begun_name" >>"$begun/names"
    {
        "$@" >"$begun/$begun_name.output" 2>"$begun/$begun_name.errors"
        echo "$?" >"$begun/$begun_name.status"
    } &
}
begun_outcome() {
    cat "$begun/$1.output"
    cat "$begun/$1.errors" >&2
    return "$(cat "$begun/$1.status")"
}
emit_begun() {
    wait
    while read -r begun_name; do emit "$begun_name" begun_outcome "$begun_name"; done <"$begun/names"
}
