# Sent after emit.sh, in front of scripts whose questions need not wait for each other.
#
# begin NAME COMMAND [ARG...]: start the command beside the others.
# look NAME FILE: show a file, which takes no process; the status is 1 if it is not there. No spaces in its path.
# When the script ends, all commands are waited for, and everything is shown as emit does, in the order in which it was asked.
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
look() {
    [ -f "$2" ]
    printf '%s %s %s\n' "$1" "$?" "$2" >>"$emit_work/begun"
}
show_begun() {
    wait
    cd "$emit_work" && awk '
        function show(file,  line) { while ((getline line <file) > 0) print "  " line }
        NF == 3 { print $1, $2; show($3); next }
        { status = 1; getline status <($1 ".status"); print $1, status; show($1 ".output"); if (status) show($1 ".errors") }
    ' begun
}
