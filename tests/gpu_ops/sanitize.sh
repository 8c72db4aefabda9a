#!/bin/sh
# Runs the table of operations under compute-sanitizer. usage: sanitize.sh PATH_OF_gpu_ops [TOOL…]
# TOOL: memcheck (out of bounds, misaligned), racecheck (shared memory), initcheck, synccheck; memcheck and racecheck
# unless given. FERULA_GPU_FILTER narrows the tests (GoogleTest's pattern).
set -eu
program=$1
shift
[ $# -gt 0 ] || set -- memcheck racecheck
if ! command -v compute-sanitizer >/dev/null; then
  echo "compute-sanitizer is not on the PATH: it comes with the CUDA toolkit (package cuda-sanitizer)" >&2
  exit 77
fi
for tool; do
  echo "== $tool"
  compute-sanitizer --tool "$tool" --error-exitcode 1 --launch-timeout 120 \
    "$program" --gtest_filter="${FERULA_GPU_FILTER:-*AgreesWithTheReference*}" --gtest_brief=1
done
