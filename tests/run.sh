#!/bin/sh
# Installs what is missing, builds everything into build/ and runs all tests. Arguments go to ctest, for example
# `tests/run.sh -L unit`. Ends with ctest's summary.
set -eu
cd "$(dirname "$0")/.."

env/debian.sh
if [ -z "$(find src -name '*.cu' | head -n 1)" ]; then
  echo "There is no CUDA code in this version: nothing is built with nvcc."
fi
mkdir -p build
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release >build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
cmake --build build
ctest --test-dir build --output-on-failure --parallel "$(nproc)" "$@"
