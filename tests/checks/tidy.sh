#!/bin/sh
# tidy.sh BUILD [PATH...]: runs clang-tidy with .clang-tidy over the sources under src/, or over the given ones.
set -eu
cd "$(dirname "$0")/../.."
build=$1
shift
[ $# -gt 0 ] || set -- $(find src -name '*.cpp' | sort)
printf '%s\n' "$@" | xargs -P "$(nproc)" -n 4 clang-tidy-14 -p "$build" --quiet 2>/dev/null
