#!/bin/sh
# Apply the objects on standard input server-side. Argument: MANAGER, the field manager. Needs root.
# Standard input: YAML whose last line is "# end of objects": without it the stream was cut off on its way.
set -eu
objects=$(cat)
case $objects in
*"# end of objects") ;;
*) echo "the objects did not arrive whole: nothing was applied" >&2 && exit 1 ;;
esac
printf '%s\n' "$objects" |
    k3s kubectl --request-timeout=60s apply --server-side --field-manager="$1" --filename -
