# Sent in front of every script that reports facts. By hand: cat emit.sh host-facts.sh | ssh HOST sudo sh -s -- ARGS
#
# emit NAME COMMAND [ARG...]: run the command and print "NAME STATUS", then its output, each line indented by two
# spaces, so that no output can be taken for a heading. Standard error is shown only when the command failed.
# shellcheck shell=sh
set -u
emit_errors=$(mktemp)
trap 'rm -f "$emit_errors"' EXIT

emit() {
    emit_name=$1
    shift
    emit_output=$("$@" 2>"$emit_errors")
    emit_status=$?
    printf '%s %s\n' "$emit_name" "$emit_status"
    [ -z "$emit_output" ] || printf '%s\n' "$emit_output" | sed 's/^/  /'
    [ "$emit_status" -eq 0 ] || sed 's/^/  /' "$emit_errors"
}
