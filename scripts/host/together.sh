# Sent after emit.sh, in front of scripts whose questions need not wait for each other.
#
# begin NAME COMMAND [ARG...]: start the command beside the others. When the script ends, all of them are waited for, and
# shown, as emit does, in the order in which they were begun.
# shellcheck shell=sh disable=SC2154  # emit_work is emit.sh's
trap 'show_begun; rm -rf "$emit_work"' EXIT

begin() {
    begun_name=$1
    shift
    printf '%s\n' "$begun_name" >>"$emit_work/begun"
    {
        "$@" >"$emit_work/$begun_name.output" 2>"$emit_work/$begun_name.errors"
        echo "$?" >"$emit_work/$begun_name.status"
    } &
}
# One process for all of them.
show_begun() {
    wait
    cd "$emit_work" && awk '
        function show(file,  line) { while ((getline line <file) > 0) print "  " line }
        { status = 1; getline status <($0 ".status"); print $0, status; show($0 ".output"); if (status) show($0 ".errors") }
    ' begun
}
