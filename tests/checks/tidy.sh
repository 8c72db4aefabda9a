#!/bin/sh
# tidy.sh BUILD [PATH...]: runs clang-tidy with .clang-tidy over the sources under src/, or over the given files and
# folders, as compiled in the build folder BUILD.
set -eu
cd "$(dirname "$0")/../.."
build=$1
shift
[ $# -gt 0 ] || set -- src
find "$@" -name '*.cpp' | sort | xargs -P "$(nproc)" -n 1 clang-tidy-14 -p "$build" --quiet 2>/dev/null
