#!/bin/sh
# Checks a machine's GPU against the CPU, one rank and PyTorch, and measures it. Needs the GPU, its driver, the libraries
# of the CUDA toolkit, and the built programs: an unpacked bundle (env/bundle.sh --program …/gpu_ops --program
# …/gpu_device --program …/bench_gpu_ops --program …/libferula_timeline.so), or a build folder. Writes OUT/gpu.json,
# OUT/gpu.txt (the table) and a log of each check.
set -u

usage() {
  cat <<'TEXT'
usage: tests/gpu.sh [options] [CHECK…]

  --bundle DIR  an unpacked bundle, with bin/ferula (default: ferula-bundle, else build/)
  --out DIR     where results and logs go (default: gpu-results)
  --nccl LIB    an NCCL that lets several ranks use one GPU (2.30 or later), for the check nccl
  --steps N     steps of each short run (default: 12)
  --set K=V     a setting of each short run, without blanks; may come several times
  --full        the benchmark of 1558M parameters, too

checks: operations device compute layouts processes offload nccl resume generate train timeline overlap collectives
memory peer bench faults; without a name all of them, in this order. Exits 0 where all passed or were skipped, 1 where one failed.
TEXT
}

here=$(CDPATH='' cd "$(dirname "$0")/.." && pwd)
bundle="" nccl="" out=gpu-results steps=12 settings="" full=no chosen=""
while [ $# -gt 0 ]; do
  case $1 in
    --bundle) bundle=$2; shift ;;
    --nccl) nccl=$(readlink -f "$2"); shift ;;
    --out) out=$2; shift ;;
    --steps) steps=$2; shift ;;
    --set) settings="$settings --set $2"; shift ;;
    --full) full=yes ;;
    --help | -h) usage; exit 0 ;;
    -*) echo "expected one of the options in --help, found '$1'" >&2; exit 2 ;;
    *) chosen="$chosen $1" ;;
  esac
  shift
done
if [ -z "$chosen" ]; then
  chosen="operations device compute layouts processes offload nccl resume generate train timeline overlap"
  chosen="$chosen collectives memory peer bench faults"
fi
if [ -z "$bundle" ] && [ -x "$here/ferula-bundle/bin/ferula" ]; then bundle=$here/ferula-bundle; fi
if [ -n "$bundle" ]; then
  bundle=$(CDPATH='' cd "$bundle" && pwd) ferula=$bundle/bin/ferula
  gpu_ops=$bundle/bin/gpu_ops gpu_device=$bundle/bin/gpu_device bench_gpu_ops=$bundle/bin/bench_gpu_ops
  timeline=$bundle/libexec/libferula_timeline.so
else
  ferula=$here/build/ferula gpu_ops=$here/build/tests/gpu_ops/gpu_ops
  gpu_device=$here/build/tests/gpu_device/gpu_device
  bench_gpu_ops=$here/build/tests/gpu_ops/bench_gpu_ops timeline=$here/build/tests/gpu_ops/libferula_timeline.so
fi
[ -x "$ferula" ] || { echo "expected the program $ferula; unpack a bundle, or name it with --bundle" >&2; exit 2; }
mkdir -p "$out" && out=$(CDPATH='' cd "$out" && pwd)
rm -rf "$out/runs" && : >"$out/rows" && : >"$out/gpu.txt"
started=$(date +%s)
failures=0
limit=300  # seconds of a short run

# --- results ----------------------------------------------------------------------------------------------------------

# row CHECK NAME passed|failed|skipped|measured VALUE UNIT NOTE
row() {
  [ "$3" != failed ] || failures=$((failures + 1))
  printf '%-11s %-44s %-9s %14s %-10s %s\n' "$1" "$2" "$3" "$4" "$5" "$6" | tee -a "$out/gpu.txt"
  value=$4
  case $value in '' | *[!0-9.eE+-]*) value=null ;; esac
  note=$(printf '%s' "$6" | tr -d '\\"' | tr '\n\t' '  ')
  printf '  {"check": "%s", "name": "%s", "state": "%s", "value": %s, "unit": "%s", "note": "%s"}\n' \
    "$1" "$2" "$3" "$value" "$5" "$note" >>"$out/rows"
}

# at_least VALUE BOUND: "passed" or "failed".
at_least() { awk "BEGIN { print $1 >= $2 ? \"passed\" : \"failed\" }"; }

last_words() { grep -v '^ *$' "$1" | tail -n 1 | cut -c 1-160; }

# train NAME DEVICE args…: a short run of the quick start's model; its losses are then in losses NAME.
train() {
  name=$1 device=$2
  shift 2
  (cd "$here" && timeout -k 10 "$limit" "$ferula" train configs/quickstart.toml --set "run.output_dir=$out/runs" \
    --set "run.name=$name" --set "run.device=$device" --set run.share_gpu=true --set "training.steps=$steps" \
    --set scheduler.params.total_num_steps=100 --set scheduler.params.warmup_num_steps=2 --set training.train_batch_size=12 \
    --set training.train_micro_batch_size_per_gpu=1 --set training.evaluate_every=0 \
    --set data.sequence_length=64 $settings "$@") >"$out/$name.log" 2>&1
}
losses() { sed -n 's/.*"loss": *\([-+0-9.eEna]*\).*/\1/p' "$out/runs/$1/metrics.jsonl" 2>/dev/null; }

# compare CHECK NAME REFERENCE FOUND BOUND: the largest relative difference of two runs' losses.
compare() {
  losses "$3" >"$out/a" && losses "$4" >"$out/b"
  worst=$(paste "$out/a" "$out/b" | awk '
    NF != 2 || $1 + 0 == 0 { bad = 1; next }
    { d = ($1 - $2) / $1; if (d < 0) d = -d; if (d > worst) worst = d; n++ }
    END { if (bad || n == 0) print "none"; else printf "%.3e", worst }')
  if [ "$worst" = none ]; then
    row "$1" "$2" failed "" "" "$(last_words "$out/$4.log")"
  elif awk "BEGIN { exit !($worst <= $5) }"; then
    row "$1" "$2" passed "$worst" relative "at most $5"
  else
    row "$1" "$2" failed "$worst" relative "expected at most $5"
  fi
}

# --- checks -----------------------------------------------------------------------------------------------------------

# gtests CHECK NAME PROGRAM SHARDS: all tests of a program that returns 77 where it finds no GPU, by as many processes.
gtests() {
  [ -x "$3" ] || { row "$1" "$2" skipped "" "" "$3 is not there"; return; }
  processes="" shard=0 code=0
  while [ "$shard" -lt "$4" ]; do
    GTEST_TOTAL_SHARDS=$4 GTEST_SHARD_INDEX=$shard timeout -k 10 300 "$3" --gtest_brief=1 >"$out/$1-$shard.log" 2>&1 &
    processes="$processes $!" shard=$((shard + 1))
  done
  for process in $processes; do wait "$process" || code=$?; done
  cat "$out/$1"-[0-9]*.log >"$out/$1.log"
  passed=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$out/$1.log" | awk '{ sum += $1 } END { print sum + 0 }')
  case $code in
    0) row "$1" "$2" passed "$passed" tests "" ;;
    77) row "$1" "$2" skipped "" "" "$(last_words "$out/$1.log")" ;;
    *) row "$1" "$2" failed "$passed" passed "exit $code: $(grep -m 3 'FAILED' "$out/$1.log" | tr '\n' ' ')" ;;
  esac
}
check_operations() {
  cores=$(nproc 2>/dev/null || echo 1)
  gtests operations "every operation against the reference" "$gpu_ops" $((cores < 8 ? cores : 8))
}
check_device() { gtests device "streams, memory and tiny runs" "$gpu_device" 1; }

# f32 sums in another order: 1e-4 after a few steps of AdamW. bf16 rounds at other places: 2 %.
check_compute() {
  for family in gpt2 llama; do
    for bf16 in false true; do
      bound=1e-4
      [ $bf16 = false ] || bound=2e-2
      for device in cpu cuda; do
        train "$family-$bf16-$device" $device --set "model.family=$family" --set bf16.enabled=$bf16 \
          --set model.ffn_width=1024 --set zero_optimization.stage=0
      done
      compare compute "$family, bf16 $bf16: GPU against CPU" "$family-$bf16-cpu" "$family-$bf16-cuda" $bound
    done
  done
}

check_layouts() {
  train one cuda --set bf16.enabled=false --set zero_optimization.stage=0 --set run.deterministic=true
  train again cuda --set bf16.enabled=false --set zero_optimization.stage=0 --set run.deterministic=true
  compare layouts "one rank, a second time" one again 0
  for ranks in 2 3 4; do
    for stage in 0 1 2 3; do
      train "ranks$ranks-stage$stage" cuda --ranks-simulated $ranks --set bf16.enabled=false \
        --set zero_optimization.stage=$stage
      compare layouts "$ranks ranks, staged, stage $stage, against one" one "ranks$ranks-stage$stage" 1e-4
    done
  done
  train hybrid cuda --ranks-simulated 4 --set bf16.enabled=false --set zero_optimization.stage=3 \
    --set zero_optimization.shard_size=2
  compare layouts "4 ranks, staged, hybrid 2 x 2, against one" one hybrid 1e-4
}

check_processes() {
  [ -d "$out/runs/one" ] || train one cuda --set bf16.enabled=false --set zero_optimization.stage=0
  export FERULA_NCCL_LIBRARY=none
  train processes cuda --ranks 2 --set bf16.enabled=false --set zero_optimization.stage=3
  compare layouts "2 processes, staged, stage 3, against one" one processes 1e-4
  unset FERULA_NCCL_LIBRARY
}

# Stops half way, then goes on: from the GPU on the GPU with another layout, and from the GPU on the CPU.
check_resume() {
  [ -d "$out/runs/one" ] || train one cuda --set bf16.enabled=false --set zero_optimization.stage=0
  all=$steps
  for where in cuda cpu; do
    steps=$((all / 2))
    train "resume-$where" cuda --set bf16.enabled=false --set zero_optimization.stage=0
    steps=$all
    train "resume-$where" $where --ranks-simulated 2 --set bf16.enabled=false --set zero_optimization.stage=2
    compare resume "from one GPU rank to two ranks on $where" one "resume-$where" 1e-4
  done
}

check_generate() {
  [ -d "$out/runs/one" ] || train one cuda --set bf16.enabled=false --set zero_optimization.stage=0
  for device in cpu cuda; do
    timeout 120 "$ferula" generate --checkpoint "$out/runs/one" --set "run.device=$device" --prompt "The " --greedy \
      --max-new-tokens 48 >"$out/generate-$device.log" 2>"$out/generate-$device.err"
  done
  if [ -s "$out/generate-cuda.log" ] && cmp -s "$out/generate-cpu.log" "$out/generate-cuda.log"; then
    row generate "greedy text: GPU against CPU" passed "" "" ""
  else
    row generate "greedy text: GPU against CPU" failed "" "" "$(last_words "$out/generate-cuda.err")"
  fi
}

# long_run NAME LAYERS WIDTH HEADS MICRO-BATCH STEPS args…: a run in bf16 with sequences of 1,024.
long_run() {
  run=$1 layers=$2 width=$3 heads=$4 rows=$5 last_step=$6
  shift 6
  (cd "$here" && timeout -k 10 200 "$ferula" train configs/gpt2-124m.toml --resume never --set "run.output_dir=$out/runs" \
    --set "run.name=$run" --set run.device=cuda --set "model.layers=$layers" --set "model.width=$width" \
    --set "model.heads=$heads" --set 'data.tokens=""' \
    --set 'data.text=["src/**/*.cpp", "src/**/*.hpp", "docs/**/*.md"]' --set data.tokenizer=bytes \
    --set training.epochs=auto --set "training.steps=$last_step" --set "training.train_batch_size=$rows" \
    --set "training.train_micro_batch_size_per_gpu=$rows" --set training.evaluate_every=0 --set bf16.enabled=true \
    --set zero_optimization.stage=0 --set scheduler.params.warmup_num_steps=2 --set checkpoint.every_steps=0 \
    "$@") >"$out/$run.log" 2>&1
}

# rate NAME: the tokens a second of a finished run.
rate() { sed -n 's/.*"tokens_per_second": *\([0-9.eE+]*\).*/\1/p' "$out/runs/$1/summary.json" 2>/dev/null | head -n 1; }

# speed MFU NAME LAYERS WIDTH HEADS MICRO-BATCH: its tokens a second, and the share of the GPU's peak, at least MFU %.
speed() {
  least=$1
  shift
  long_run "$@" 20
  mfu=$(sed -n 's/.*mfu \([0-9]*\) %.*/\1/p' "$out/$1.log" | tail -n 1)
  if [ -n "$(rate "$1")" ]; then
    row train "$1, bf16, 1,024 tokens, micro batch $5" "$(at_least "${mfu:-0}" "$least")" "$(rate "$1")" tokens/s \
      "mfu ${mfu:-?} %; at least $least %"
  else
    row train "$1" failed "" "" "$(last_words "$out/$1.log")"
  fi
}
check_train() {
  speed 48 gpt2-124M 12 768 12 16
  [ $full = no ] || speed 58 gpt2-1558M 48 1600 25 8
}

# idle NAME LAYERS WIDTH HEADS MICRO-BATCH: the share of a step in which the GPU does nothing, at most 3 % for 124M, and
# what takes the rest of it (OUT/timeline-NAME.txt). The step is one of a run that nobody watches; its work is that of a
# traced run in which no kernel starts before the one before has ended, so that none is counted while it waits.
idle() {
  [ -n "$(rate "$1")" ] || long_run "$@" 20
  export CUDA_INJECTION64_PATH="$timeline" FERULA_TIMELINE="$out/timeline-$1.txt" FERULA_DEPENDENT_LAUNCH=none
  long_run "$1-timeline" "$2" "$3" "$4" "$5" 12
  unset CUDA_INJECTION64_PATH FERULA_TIMELINE FERULA_DEPENDENT_LAUNCH
  busy=$(sed -n 's/^busy_microseconds_per_step //p' "$out/timeline-$1.txt" 2>/dev/null)
  if [ -z "$busy" ] || [ -z "$(rate "$1")" ] || grep -q '^steps 0$' "$out/timeline-$1.txt"; then
    row timeline "$1: idle share of a step" failed "" "" "$(last_words "$out/$1-timeline.log")"
    return
  fi
  step=$(awk "BEGIN { printf \"%.1f\", 1e6 * 1024 * $5 / $(rate "$1") }")
  share=$(awk "BEGIN { printf \"%.4f\", 1 - $busy / $step }")
  state=measured
  if [ "$1" = gpt2-124M ]; then state=$(at_least 0.03 "$share"); fi
  row timeline "$1: idle share of a step" "$state" "$share" "" "$step us a step, $busy us of work; at most 0.03 for 124M"
  awk 'table && count++ < 12 { us = $1; n = $2; sub(/^ *[^ ]+ +[^ ]+ +[^ ]+ +/, ""); print us "|" n "|" $0 }
    /us a step/ { table = 1 }' "$out/timeline-$1.txt" >"$out/timeline.rows"
  while IFS='|' read -r microseconds launches kernel; do
    row timeline "$1: $(printf '%.100s' "$kernel")" measured "$microseconds" us "$launches launches a step"
  done <"$out/timeline.rows"
}
check_timeline() {
  [ -e "$timeline" ] || { row timeline "timeline of a step" skipped "" "" "$timeline is not there"; return; }
  idle gpt2-124M 12 768 12 16
  [ $full = no ] || idle gpt2-1558M 48 1600 25 8
}

check_peer() {
  if ! python3 -c 'import torch; assert torch.cuda.is_available()' >/dev/null 2>&1; then
    row peer "PyTorch on the same GPU" skipped "" "" "python3 has no torch that sees a GPU"
    return
  fi
  for compiled in no yes; do
    flag=""
    [ $compiled = no ] || flag=--compile
    peer=$(timeout 240 python3 "$here/tests/oracles/gpu_torch_step.py" --batch 16 $flag 2>"$out/peer-$compiled.log")
    if [ -n "$peer" ]; then
      row peer "PyTorch GPT-2 124M, bf16, compiled: $compiled" measured "$peer" tokens/s ""
    else
      row peer "PyTorch GPT-2 124M, bf16, compiled: $compiled" skipped "" "" "$(last_words "$out/peer-$compiled.log")"
    fi
  done
  [ -n "$peer" ] || return
  long_run gpt2-124M 12 768 12 16 20  # once more, beside the compiled peer
  ratio=$(awk "BEGIN { printf \"%.3f\", $(rate gpt2-124M) / $peer }")
  row peer "gpt2-124M against compiled PyTorch" "$(at_least "$ratio" 1.2)" "$ratio" times "$(rate gpt2-124M) tokens/s; at least 1.2"
}

# bench_state NAME FRACTION: whether an operation comes as near to its ceiling as is asked of it.
bench_state() {
  case $1 in
    linear_backward_weight_bias_*) echo measured ;;  # a product and column sums
    linear_*) at_least "$2" 0.95 ;;
    norm | residual_norm | norm_backward_add | cross_entropy | adamw_*) at_least "$2" 0.85 ;;
    *) echo measured ;;
  esac
}

check_bench() {
  [ -x "$bench_gpu_ops" ] || { row bench "operations" skipped "" "" "$bench_gpu_ops is not there"; return; }
  timeout 200 "$bench_gpu_ops" >"$out/bench.json" 2>"$out/bench.log"
  code=$?
  case $code in
    0)
      sed -n 's/.*"name": "\([^"]*\)".*"rate": \([0-9.]*\), "unit": "\([^"]*\)"\(.*\)/\1|\2|\3|\4/p' "$out/bench.json" |
        while IFS='|' read -r name rate unit rest; do
          fraction=$(printf '%s' "$rest" | sed -n 's/.*"fraction": \([0-9.]*\).*/\1/p')
          echo "$name|$(bench_state "$name" "${fraction:-0}")|$rate|$unit|${fraction:+$fraction of its ceiling}"
        done >"$out/bench.rows"
      while IFS='|' read -r name state rate unit note; do
        row bench "$name" "$state" "$rate" "$unit" "$note"
      done <"$out/bench.rows" ;;
    77) row bench operations skipped "" "" "$(last_words "$out/bench.log")" ;;
    *) row bench operations failed "" "" "exit $code: $(last_words "$out/bench.log")" ;;
  esac
}

. "$here/tests/gpu_ranks.sh"

gpu=$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | head -n 1)

# The results so far: also where what comes next is cut off.
write_json() {
  {
    printf '{"program": "%s",\n "gpu": "%s", "date": "%s", "seconds": %s, "failures": %s,\n "results": [\n' \
      "$("$ferula" --version | head -n 1)" "$gpu" \
      "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$(($(date +%s) - started))" "$failures"
    sed '$!s/$/,/' "$out/rows"
    printf ']}\n'
  } >"$out/gpu.json"
}

# --- run --------------------------------------------------------------------------------------------------------------

for check in $chosen; do
  case $check in
    operations | device | compute | layouts | processes | offload | nccl | faults | resume | generate | train | timeline) ;;
    overlap | collectives | memory | peer | bench) ;;
    *) echo "expected one of the checks in --help, found '$check'" >&2; exit 2 ;;
  esac
  before=$(date +%s)
  "check_$check"
  write_json
  echo "# $check took $(($(date +%s) - before)) s" | tee -a "$out/gpu.txt"
done

rm -f "$out/a" "$out/b" "$out/rows" "$out/bench.rows" "$out/timeline.rows"
echo "$gpu: $failures failed; $out/gpu.json"
[ "$failures" -eq 0 ]
