#!/bin/sh
# sanitize.sh PRESET PROGRAM[=FILTER]...: builds test programs with the sanitizers of a CMake preset and runs them, or
# those of their tests that GoogleTest's filter picks.
set -eu
cd "$(dirname "$0")/../.."
preset=$1
shift
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive  # OpenMP's own threads are not instrumented
export ASAN_OPTIONS=allocator_may_return_null=1  # a refused allocation is tested
# Not detect_stack_use_after_return: g++ 12 then misaligns vectors of 64 bytes on its stack (GCC bug 110027).
export UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1:allocator_may_return_null=1

cmake --preset "$preset" >/dev/null
cmake --build "build-$preset" --target $(for test in "$@"; do echo "${test%%=*}"; done)
for test in "$@"; do
  program=${test%%=*}
  case $test in *=*) filter=${test#*=} ;; *) filter='*' ;; esac
  "build-$preset/tests/$program" --gtest_brief=1 --gtest_filter="$filter"
done
