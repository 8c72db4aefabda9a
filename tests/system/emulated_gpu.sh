#!/bin/sh
# emulated_gpu.sh PROGRAM DRIVER NCCL ROWS CHECK...: checks of tests/gpu.sh over the processor as a GPU
# (tests/emulated_gpu), with NCCL for its process groups: ROWS of them, and all must pass.
set -eu

program=$1 driver=$2 nccl=$3 rows=$4
shift 4
source=$(CDPATH='' cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/bundle/bin"
printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$driver" "$program" >"$work/bundle/bin/ferula"
chmod +x "$work/bundle/bin/ferula"
export OMP_NUM_THREADS=1
status=0
"$source/tests/gpu.sh" --bundle "$work/bundle" --out "$work/out" --nccl "$nccl" --steps 4 --set model.layers=1 \
  --set model.width=64 --set model.heads=2 --set model.kv_heads=2 --set model.ffn_width=128 \
  --set data.sequence_length=32 --set data.validation_fraction=0.0005 "$@" >"$work/table" 2>&1 || status=$?
passed=$(grep -c ' passed ' "$work/table" || true)
if [ "$status" != 0 ] || [ "$passed" != "$rows" ]; then
  cat "$work/table" "$work"/out/*.log
  echo "emulated_gpu.sh: expected $rows passed rows and the status 0, found $passed and $status" >&2
  exit 1
fi
