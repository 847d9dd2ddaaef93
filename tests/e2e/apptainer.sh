#!/bin/sh
# Stands in for apptainer: says how it was called, then does as FAKE_DO says.
fake=$(dirname "$0")
printf '%s\n' "$@" >"$fake/arguments"
env >"$fake/environment"
umask >"$fake/umask"
echo run >>"$fake/runs"
for to; do case $to in /*) break ;; esac; done
echo 'INFO:    Starting build...' >&2
mkdir -p "$APPTAINER_CACHEDIR/layers/closed" "$APPTAINER_TMPDIR/rootfs"
chmod 500 "$APPTAINER_CACHEDIR/layers" "$APPTAINER_CACHEDIR/layers/closed"
case $FAKE_DO in
fail:*)
    echo "FATAL:   While making image from oci registry: ${FAKE_DO#fail:}" >&2
    exit 255
    ;;
half) head -c 4100 "$fake/image.sif" >"$to" ;;
hang)
    head -c 4100 "$fake/image.sif" >"$to"
    sleep 600 &
    echo $$ $! >"$fake/started.part"
    mv "$fake/started.part" "$fake/started"
    wait
    ;;
*) cp "$fake/image.sif" "$to" ;;
esac
