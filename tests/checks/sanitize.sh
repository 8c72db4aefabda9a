#!/bin/sh
# sanitize.sh PRESET PROGRAM[=FILTER]...: builds test programs with the sanitizers of a CMake preset and runs them, or
# those of their tests that GoogleTest's filter picks. All run, a share of each on every processor; of those that fail
# the output is shown.
set -eu
cd "$(dirname "$0")/../.."
preset=$1
shift
processors=$(nproc)  # asked before OMP_NUM_THREADS is set, which it heeds
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive  # OpenMP's own threads are not instrumented
export ASAN_OPTIONS=allocator_may_return_null=1  # a refused allocation is tested
# Not detect_stack_use_after_return: g++ 12 then misaligns vectors of 64 bytes on its stack (GCC bug 110027).
export UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1:allocator_may_return_null=1
export LSAN_OPTIONS=suppressions=$PWD/tests/checks/lsan.supp:print_suppressions=0

cmake --preset "$preset" >/dev/null
log=build-$preset/sanitize
cmake --build "build-$preset" --target $(for test in "$@"; do echo "${test%%=*}"; done) >"$log.build.log" 2>&1 ||
  { tail -n 200 "$log.build.log"; exit 1; }

# run_share NUMBER PROGRAM[=FILTER]...
run_share() {
  export GTEST_TOTAL_SHARDS="$processors" GTEST_SHARD_INDEX="$1"
  shift
  status=0
  for test in "$@"; do
    program=${test%%=*}
    case $test in *=*) filter=${test#*=} ;; *) filter='*' ;; esac
    "build-$preset/tests/$program" --gtest_brief=1 --gtest_filter="$filter" >"$log.$GTEST_SHARD_INDEX.log" 2>&1 && continue
    echo "FAILED with code $?: $program"
    tail -n 200 "$log.$GTEST_SHARD_INDEX.log"
    status=1
  done
  return $status
}

shares=
share=0
while [ "$share" -lt "$processors" ]; do
  run_share "$share" "$@" &
  shares="$shares $!"
  share=$((share + 1))
done
status=0
for share in $shares; do wait "$share" || status=1; done
exit $status
