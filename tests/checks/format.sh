#!/bin/sh
# Fails with the files that clang-format would change.
set -eu
cd "$(dirname "$0")/../.."
find src tests -name '*.cpp' -o -name '*.hpp' -o -name '*.cu' -o -name '*.cuh' | xargs clang-format-14 --dry-run -Werror
