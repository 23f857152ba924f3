#!/bin/sh
# Hold a cluster's lock, or a place beside it, for a run, and write the run's line into the audit when it ends. Needs root.
# hold-lock.sh STATE NAME WAIT PATIENCE: NAME is "lock", or "beside-…" for a run that excludes nobody; WAIT seconds for the
# lock if somebody has it; after PATIENCE seconds without a sign of life the run counts as ended.
#
# Says, line by line: "left RECORD" for each run that was cut off before; "held RECORD" while somebody else has the lock;
# "yours" when it may begin; "begun" when its record is on the disk; "ended RECORD" when that is in the audit; else "failed WHY".
# Hears: the run's record, which is what the audit will say of it if nothing more is heard; "." now and then, as a sign of
# life; the record anew whenever it has changed. All are padded to one length: a later one replaces the one before where it
# stands, also on a full disk.
#
# Who holds a record's file by flock(2) is alive: the kernel lets go for a process that is killed and for a reboot. A record
# whose file nobody holds was left behind.
set -u
state=$1 name=$2 wait=$3 patience=$4
exec 2>&1
trap '' HUP PIPE
umask 077
audit=$state/audit.jsonl
file=$state/$name

fail() {
    printf 'failed %s\n' "$*"
    exit 1
}
# One line up to its last brace, all of it or nothing of it: on a full disk a part of it would spoil the next one.
# shellcheck disable=SC2094  # its size is asked for before it is written to
append() {
    (
        flock 7
        size=$(stat -c %s "$audit")
        if printf '%s}\n' "${1%\}*}" >&7 && sync "$audit"; then exit 0; fi
        truncate -s "$size" "$audit"
        exit 1
    ) 7>>"$audit"
}
# settle FILE RECORD: audit what its record says and forget it; whoever calls holds the file. Beside the lock every run has
# a file of its own.
settle() {
    append "$2" || return
    : >"$1"
    [ "${1##*/}" = lock ] || rm -f "$1"
}
settle_left() {
    [ -s "$1" ] || return 0
    left=$(head -n 1 "$1")
    printf 'left %s\n' "$left"
    settle "$1" "$left" || fail "$audit cannot be written"
}
settle_others() {
    for other in "$state/lock" "$state"/beside-*; do
        if [ "$other" != "$file" ] && [ -s "$other" ]; then
            (if flock -n 8; then settle_left "$other"; fi) 8<>"$other" || exit
        fi
    done
}
write_record() { printf '%s\n%s\n' "$record" "$$" >"$file" && sync "$file"; }

[ -d "$state" ] || mkdir -p "$state" || fail "$state cannot be made"
: >>"$file" || fail "$file cannot be written"
exec 9<>"$file"
if ! flock -n 9; then
    printf 'held %s\n' "$(head -n 1 "$file")"
    flock -w "$wait" 9 || exit 3
fi
settle_left "$file"
settle_others
echo yours

IFS= read -r record || exit 0
if ! write_record; then
    : >"$file"
    fail "$file cannot be written"
fi
echo begun

# What waits for the next sign must not hold the lock as well: it outlives this shell if somebody kills it.
while sign=$(timeout "$patience" head -c 1 9>&-); do
    case $sign in
    .) touch "$file" ;;
    '{') IFS= read -r rest && printf '{%s\n' "$rest" 1<>"$file" ;;
    *) break ;;
    esac
done
record=$(head -n 1 "$file")
settle "$file" "$record" || fail "$audit cannot be written: what it lacks stands in $file, and the next run adds it"
printf 'ended %s\n' "$record"
