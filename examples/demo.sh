#!/usr/bin/env bash
# Builds and runs the demonstration: the programs of examples/demo against the shared library that `make` built, on the list
# of packages of this machine (or, if it has none, on the one that lies beside), in a directory that vanishes afterwards.
#
#   DIRKV_LIB_DIR   where libdirkv.so is, if not where cargo puts it
#   DIRKV_STATUS    a file in the format of /var/lib/dpkg/status, if not that
set -euo pipefail

examples=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$examples")

library=${DIRKV_LIB_DIR:-${CARGO_TARGET_DIR:-$root/target}/release}
case $library in /*) ;; *) library=$root/$library ;; esac
if [ ! -e "$library/libdirkv.so" ]; then
    echo "no libdirkv.so in $library: run \"make\" first, or \"make demo\", which does both" >&2
    exit 1
fi

if ! command -v cc > /dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
        echo "installing a C compiler"
        apt-get update -qq || true
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc libc6-dev > /dev/null
    else
        echo "a C compiler (cc) is needed" >&2
        exit 1
    fi
fi

status=${DIRKV_STATUS:-/var/lib/dpkg/status}
if [ ! -s "$status" ]; then
    status=$examples/data/dpkg-status
fi

scratch=$(mktemp -d "${TMPDIR:-/tmp}/dirkv-demo.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

# Programs look for the library under its SONAME, by a link as an installation makes it.
mkdir "$scratch/lib"
soname=libdirkv.so.$(sed -n 's/^version = "\([0-9]*\).*/\1/p' "$root/Cargo.toml" | head -n 1)
ln -s "$library/libdirkv.so" "$scratch/lib/libdirkv.so"
ln -s "$library/libdirkv.so" "$scratch/lib/$soname"
cc -std=c11 -D_GNU_SOURCE -O1 -Wall -Wextra -I "$root/include" "$examples"/demo/*.c \
    -L "$scratch/lib" -ldirkv -Wl,-rpath,"$scratch/lib" -o "$scratch/demo"

limit=()
if command -v timeout > /dev/null; then limit=(timeout --foreground 300); fi
"${limit[@]}" "$scratch/demo" "$status" "$scratch/store"
