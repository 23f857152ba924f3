# Sent after emit.sh, in front of scripts whose questions need not wait for each other.
#
# begin NAME COMMAND [ARG...]: start the command beside the others. When the script ends, all of them are waited for, and
# shown, as emit does, in the order in which they were begun.
# shellcheck shell=sh disable=SC2154  # emit_errors is emit.sh's
begun=$(mktemp -d)
trap 'show_begun; rm -rf "$emit_errors" "$begun"' EXIT

begin() {
    begun_name=$1
    shift
    printf '%s\n' "$begun_name" >>"$begun/names"
    {
        "$@" >"$begun/$begun_name.output" 2>"$begun/$begun_name.errors"
        echo "$?" >"$begun/$begun_name.status"
    } &
}
# Not by emit, which would take seven processes for each: here it is one or two.
show_begun() {
    wait
    while read -r begun_name; do
        read -r begun_status <"$begun/$begun_name.status" || begun_status=1
        printf '%s %s\n' "$begun_name" "$begun_status"
        [ ! -s "$begun/$begun_name.output" ] || awk '{ print "  " $0 }' "$begun/$begun_name.output"
        [ "$begun_status" -eq 0 ] || awk '{ print "  " $0 }' "$begun/$begun_name.errors"
    done <"$begun/names"
}
