#!/bin/sh
# Delete the objects on standard input: apiVersion, kind and name of each are enough. Needs root.
# Standard input: YAML whose last line is "# end of objects": without it the stream was cut off on its way.
set -eu
objects=$(cat)
case $objects in
*"# end of objects") ;;
*) echo "the objects did not arrive whole: nothing was deleted" >&2 && exit 1 ;;
esac
printf '%s\n' "$objects" |
    k3s kubectl --request-timeout=60s delete --ignore-not-found --wait=false --filename -
