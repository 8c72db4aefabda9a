#!/bin/sh
# emulated_gpu.sh PROGRAM DRIVER: tests/gpu.sh over the processor as a GPU (tests/emulated_gpu). Whole runs on it, by one
# rank, simulated ranks and processes, give what they must: curves of one rank, checkpoints for either device, text.
set -eu

program=$1 driver=$2
source=$(CDPATH='' cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { cat "$work/table"; echo "emulated_gpu.sh: $1" >&2; exit 1; }

mkdir -p "$work/bundle/bin"
printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$driver" "$program" >"$work/bundle/bin/ferula"
chmod +x "$work/bundle/bin/ferula"
export OMP_NUM_THREADS=1
"$source/tests/gpu.sh" --bundle "$work/bundle" --out "$work/out" --steps 4 --set model.layers=1 --set model.width=64 \
  --set model.heads=2 --set model.kv_heads=2 --set model.ffn_width=128 --set data.sequence_length=32 \
  --set data.validation_fraction=0.0005 resume generate processes >"$work/table" 2>&1 || fail "expected no failed row"
for row in "from one GPU rank to two ranks on cuda" "from one GPU rank to two ranks on cpu" \
  "greedy text: GPU against CPU" "2 processes, staged, stage 3, against one"; do
  grep -q "$row  *passed" "$work/table" || fail "expected a passed row '$row'"
done
