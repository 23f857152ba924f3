#!/bin/sh
# How many bytes a directory holds, read-only. Needs emit.sh in front, and root. Argument: DIRECTORY.
# shellcheck disable=SC2317  # functions are called through emit
directory=$1
size() { du -s -B1 -- "$directory" | cut -f 1; }
emit size size
