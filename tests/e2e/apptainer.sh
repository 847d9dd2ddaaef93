#!/bin/sh
# Stands in for apptainer: says how it was called, then does as FAKE_DO says, or the file do-TAG for the image of that tag.
fake=$(dirname "$0")
printf '%s\n' "$@" >"$fake/arguments"
env >"$fake/environment"
umask >"$fake/umask"
echo run >>"$fake/runs"
for to; do case $to in /*) break ;; esac; done
for reference; do :; done
tag=${reference##*[:/]}
if [ -f "$fake/do-$tag" ]; then FAKE_DO=$(cat "$fake/do-$tag"); fi
image=$fake/image.sif
if [ -f "$fake/image-$tag.sif" ]; then image=$fake/image-$tag.sif; fi
echo 'INFO:    Starting build...' >&2
mkdir -p "$APPTAINER_CACHEDIR/layers/closed" "$APPTAINER_TMPDIR/rootfs"
chmod 500 "$APPTAINER_CACHEDIR/layers" "$APPTAINER_CACHEDIR/layers/closed"
case $FAKE_DO in
fail:*)
    echo "FATAL:   While making image from oci registry: ${FAKE_DO#fail:}" >&2
    exit 255
    ;;
half) head -c 4100 "$image" >"$to" ;;
fill)
    said=$(head -c 100000000 /dev/zero 2>&1 >"$to") || {
        echo "FATAL:   While making image from oci registry: $said" >&2
        exit 255
    }
    cp "$image" "$to"
    ;;
many)
    (cd "$APPTAINER_TMPDIR/rootfs" && seq 2000 | xargs touch 2>/dev/null) || {
        echo "FATAL:   While making image from oci registry: mkdir: no space left on device" >&2
        exit 255
    }
    cp "$image" "$to"
    ;;
together:*)
    # Goes on when so many have been at work at once, and writes down how many it saw.
    mkdir -p "$fake/running" && : >"$fake/running/$$"
    for _ in $(seq 200); do
        now=$(ls "$fake/running" | wc -l)
        echo "$now" >>"$fake/seen"
        if [ "$(sort -n "$fake/seen" | tail -1)" -ge "${FAKE_DO#together:}" ]; then break; fi
        sleep 0.1
    done
    sleep 0.3
    rm "$fake/running/$$"
    cp "$image" "$to"
    ;;
hang)
    head -c 4100 "$image" >"$to"
    sleep 600 &
    echo $$ $! >"$fake/started.part"
    mv "$fake/started.part" "$fake/started"
    wait
    ;;
*) cp "$image" "$to" ;;
esac
