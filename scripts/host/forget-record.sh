#!/bin/sh
# Forget the newest record of what was there before: it is there again. Needs root. Argument: RECORDS directory.
set -eu
newest=$(find "$1" -name '[1-9]*.json' -printf '%f\n' | sort -n | tail -n 1)
[ -z "$newest" ] || rm "$1/$newest"
