#!/bin/sh
# gpu_script.sh PROGRAM DRIVER: tests/gpu.sh over made-up GPUs (tests/fake_gpu). A rank that is killed is a passed row,
# what needs NCCL is skipped, a program that fails is a failed row, and a page is made of the JSON.
set -eu

program=$1 driver=$2
source=$(CDPATH='' cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "gpu_script.sh: $1" >&2; exit 1; }

mkdir -p "$work/bundle/bin"
printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$driver" "$program" >"$work/bundle/bin/ferula"
chmod +x "$work/bundle/bin/ferula"
export OMP_NUM_THREADS=1
check() { "$source/tests/gpu.sh" --bundle "$work/bundle" --out "$work/out" --steps 2 "$@" >"$work/table" 2>&1; }
expect() { grep -Eq "$1" "$2" || { cat "$work/table"; fail "expected '$1' in $2"; }; }

check faults nccl collectives device || { cat "$work/table"; fail "expected no failed row"; }
python3 "$source/docs/gpu_page.py" "$work/out/gpu.json" >"$work/page"
expect '^\| 2 ranks, staged: one is killed \| passed \| [0-9.]+ s \| .*(signal 9|rank 1 .*has ended)' "$work/page"
expect '^\| process groups on one GPU \| skipped \|' "$work/page"
expect '^- How a failed process group over NCCL' "$work/page"

if FERULA_FAKE_GPU=launches=0:1 check offload; then fail "expected a failed row where launches fail"; fi
expect '^offload +1 rank, f32, .* failed .*launch of linear' "$work/table"
