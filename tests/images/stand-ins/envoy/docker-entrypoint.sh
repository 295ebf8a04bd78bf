#!/bin/sh
# Options alone are Envoy's.
case ${1:-} in
    -* | '') set -- envoy "$@" ;;
esac
exec "$@"
