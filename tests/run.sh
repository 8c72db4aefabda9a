#!/bin/sh
# Installs what is missing, builds everything into build/ and runs all tests. Arguments go to ctest, for example
# `tests/run.sh -L unit`. Ends with ctest's summary. Where there is nvcc, the CUDA backend is built, for one architecture.
set -eu
cd "$(dirname "$0")/.."

env/debian.sh --slurm
mkdir -p build
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DFERULA_CUDA=AUTO \
  -DFERULA_CUDA_ARCHITECTURES=90 >build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
cmake --build build
ctest --test-dir build --output-on-failure --parallel "$(nproc)" "$@"
