# Sent in front of every script that reports facts. By hand: cat emit.sh read-state.sh | ssh HOST sudo sh -s -- /var/lib/scout-ollama 20
#
# emit NAME COMMAND [ARG...]: run the command and print "NAME STATUS", then its output, each line indented by two
# spaces, so that no output can be taken for a heading. Standard error is shown only when the command failed.
# shellcheck shell=sh
set -u
emit_newline='
'
# In memory: a host whose disk is full shall still say so.
emit_work=$(mktemp -d /run/scout-ollama-emit.XXXXXX 2>/dev/null || mktemp -d)
trap 'rm -rf "$emit_work"' EXIT

emit() {
    emit_name=$1
    shift
    emit_output=$("$@" 2>"$emit_work/errors")
    emit_status=$?
    printf '%s %s\n' "$emit_name" "$emit_status"
    # Most say one line or nothing, which takes no process to indent.
    case $emit_output in
    '') ;;
    *"$emit_newline"*) printf '%s\n' "$emit_output" | sed 's/^/  /' ;;
    *) printf '  %s\n' "$emit_output" ;;
    esac
    if [ "$emit_status" -ne 0 ] && [ -s "$emit_work/errors" ]; then sed 's/^/  /' "$emit_work/errors"; fi
}
