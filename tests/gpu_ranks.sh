# Part of tests/gpu.sh, which reads it: what runs beside the plain checks of one GPU. Optimizer state in the host's
# memory, memory that is not counted, and process groups over NCCL: their results, their speed, and the loss of a rank.

# on_nccl CHECK: makes the runs that follow use the library of --nccl; false, with a row, where none was named.
on_nccl() {
  [ -n "$nccl" ] || { row "$1" "process groups on one GPU" skipped "" "" "no library was named with --nccl"; return 1; }
  export FERULA_NCCL_LIBRARY="$nccl" NCCL_MULTI_RANK_GPU_ENABLE=1
}
off_nccl() { unset FERULA_NCCL_LIBRARY NCCL_MULTI_RANK_GPU_ENABLE; }

# was_nccl CHECK NAME RUN: a failed row where the ranks of a run have not used NCCL.
was_nccl() {
  grep -q 'communication *nccl' "$out/$3.log" ||
    row "$1" "$2: over NCCL" failed "" "" "$(sed -n 's/^ *communication */found /p' "$out/$3.log")"
}

check_nccl() {
  on_nccl nccl || return
  [ -d "$out/runs/one" ] || train one cuda --set bf16.enabled=false --set zero_optimization.stage=0
  for stage in 0 1 2 3; do
    train "nccl-stage$stage" cuda --ranks 2 --set bf16.enabled=false --set zero_optimization.stage=$stage
    compare nccl "2 ranks, NCCL, stage $stage, against one" one "nccl-stage$stage" 1e-4
    was_nccl nccl "2 ranks, stage $stage" "nccl-stage$stage"
  done
  off_nccl
}

# --- a lost rank ------------------------------------------------------------------------------------------------------

# rank_of NAME RANK: the processes of a run of this script that have this rank, a regular expression.
rank_of() {
  for process in /proc/[0-9]*; do
    tr '\0' '\n' 2>/dev/null <"$process/cmdline" | grep -qx "run.name=$1" || continue
    tr '\0' '\n' 2>/dev/null <"$process/cmdline" | grep -qxF "run.output_dir=$out/runs" || continue
    tr '\0' '\n' 2>/dev/null <"$process/environ" | grep -qx "OMPI_COMM_WORLD_RANK=$2" || continue
    echo "${process#/proc/}"
  done
}

# lose_rank ROW RUN SIGNAL WORDS: rank 1 of 2 gets SIGNAL in the middle of a run; within 30 s the job must have ended
# with 1 and a message that holds WORDS, a regular expression. Steps are long, so that it is not between two of them.
lose_rank() {
  all=$steps steps=1000000 limit=120
  train "$2" cuda --ranks 2 --set zero_optimization.stage=3 --set debug.collective_timeout_s=10 \
    --set training.train_batch_size=240 --set checkpoint.every_steps=0 &
  job=$!
  steps=$all limit=300
  while kill -0 "$job" 2>/dev/null && [ "$(losses "$2" | wc -l)" -lt 1 ]; do sleep 0.1; done
  lost=$(rank_of "$2" 1)
  [ -z "$lost" ] || kill "-$3" "$lost"
  before_loss=$(date +%s)
  code=0
  wait "$job" || code=$?
  seconds=$(($(date +%s) - before_loss))
  for process in $(rank_of "$2" '[0-9]*'); do kill -KILL "$process"; done  # of a job that has not ended by itself
  if [ -n "$lost" ] && [ "$code" = 1 ] && [ "$seconds" -le 30 ] && grep -Eq "$4" "$out/$2.log"; then
    row faults "$1" passed "$seconds" s "$(grep -Eo -m 1 "$4" "$out/$2.log" | cut -c 1-160)"
  else
    row faults "$1" failed "$seconds" s "exit $code, expected 1 and '$4' within 30 s: $(last_words "$out/$2.log")"
  fi
}

check_faults() {
  export FERULA_NCCL_LIBRARY=none
  lose_rank "2 ranks, staged: one is killed" lost-staged KILL 'a rank was ended by signal 9|rank 1 .*has ended'
  off_nccl
  on_nccl faults || return
  lose_rank "2 ranks, NCCL: one is killed" lost-killed KILL \
    'a rank was ended by signal 9|rank 1 .*has ended|rank 0 [^:]*: .*remote process exited'
  lose_rank "2 ranks, NCCL: one stands still" lost-stopped STOP \
    'rank 0 [^:]*: .*has waited for more than 10000 ms for its peers.*GPU-'
  was_nccl faults "2 ranks that lose one" lost-stopped
  off_nccl
}

# --- offloaded optimizer state ----------------------------------------------------------------------------------------

# offload ROW REFERENCE BOUND args…: a run whose optimizer state is the host's, against one where it is the GPU's.
offload() {
  title=$1 reference=$2 bound=$3 run=offload-$2-$4
  shift 4
  train "$run" cuda --set zero_optimization.offload_optimizer.device=cpu "$@"
  compare offload "$title" "$reference" "$run" "$bound"
  grep -q 'host memory .*offloaded optimizer state' "$out/$run.log" ||
    row offload "$title: state on the host" failed "" "" "the log names no host memory"
}

check_offload() {
  [ -d "$out/runs/one" ] || train one cuda --set bf16.enabled=false --set zero_optimization.stage=0
  train one-bf16 cuda --set bf16.enabled=true --set zero_optimization.stage=0
  offload "1 rank, f32, against state on the GPU" one 1e-4 1 --set bf16.enabled=false \
    --set zero_optimization.stage=0
  offload "1 rank, bf16, against state on the GPU" one-bf16 2e-2 1 --set bf16.enabled=true \
    --set zero_optimization.stage=0
  offload "2 ranks, stage 2, against one with state on the GPU" one 1e-4 2 --ranks-simulated 2 --set bf16.enabled=false \
    --set zero_optimization.stage=2
}

# --- memory that is not counted ---------------------------------------------------------------------------------------

# uncounted ROW RUN command…: what a run takes of the GPU at its peak, beside what its ranks count, by rank.
uncounted() {
  title=$1 run=$2
  shift 2
  gpu_index=${CUDA_VISIBLE_DEVICES:-0}
  memory_used="nvidia-smi -i ${gpu_index%%,*} --query-gpu=memory.used --format=csv,noheader,nounits"
  idle=$($memory_used 2>/dev/null)
  case $idle in '' | *[!0-9]*) row memory "$title" skipped "" "" "nvidia-smi tells no used memory"; return ;; esac
  while :; do $memory_used; sleep 0.1; done >"$out/$run.used" 2>/dev/null &
  watcher=$!
  "$@"
  kill "$watcher" && wait "$watcher" 2>/dev/null
  taken=$(sort -n "$out/$run.used" | tail -n 1)
  grep -o '"peak": *[0-9]*' "$out/runs/$run/summary.json" 2>/dev/null | sed 's/.*: *//' >"$out/a"
  if [ -n "$taken" ] && [ -s "$out/a" ]; then
    row memory "$title" measured "$(awk -v taken="$((taken - idle))" \
      '{ counted += $1 / 1048576; ranks++ } END { printf "%.0f", (taken - counted) / ranks }' "$out/a")" MiB \
      "of $((taken - idle)) MiB; ferula plan sets 1024 MiB aside"
  else
    row memory "$title" failed "" "" "$(last_words "$out/$run.log")"
  fi
}

check_memory() {
  uncounted "gpt2-124M, bf16: beside what is counted" memory-124M long_run memory-124M 12 768 12 16 3
  on_nccl memory || return
  uncounted "2 ranks, NCCL: each beside what is counted" memory-nccl train memory-nccl cuda --ranks 2 \
    --set zero_optimization.stage=3
  was_nccl memory "2 ranks" memory-nccl
  off_nccl
}

# --- collectives ------------------------------------------------------------------------------------------------------

# Two processes take turns on one GPU: a collective's time is that of its turns, too.
check_overlap() {
  [ -e "$timeline" ] || { row overlap "timeline of two ranks" skipped "" "" "$timeline is not there"; return; }
  on_nccl overlap || return
  rm -f "$out"/timeline-overlap-*.txt
  export CUDA_INJECTION64_PATH="$timeline" FERULA_TIMELINE="$out/timeline-overlap-%p.txt"
  export FERULA_DEPENDENT_LAUNCH=none  # so that no kernel is counted while it waits
  long_run overlap 6 512 8 4 8 --ranks 2 --set run.share_gpu=true --set training.train_batch_size=8 \
    --set zero_optimization.stage=3
  unset CUDA_INJECTION64_PATH FERULA_TIMELINE FERULA_DEPENDENT_LAUNCH
  off_nccl
  was_nccl overlap "2 ranks, stage 3" overlap
  found=0
  for file in "$out"/timeline-overlap-*.txt; do
    share=$(sed -n 's/^collectives_beside_compute //p' "$file" 2>/dev/null)
    [ -n "$share" ] || continue
    found=$((found + 1))
    state=$(awk "BEGIN { print ($share > 0) ? \"passed\" : \"failed\" }")
    row overlap "2 ranks, stage 3, NCCL beside compute: process $found" "$state" "$share" "of 1" \
      "of $(sed -n 's/^collective_microseconds_per_step //p' "$file") us in collectives; a step takes \
$(sed -n 's/^microseconds_per_step //p' "$file") us"
    sed -n 's/^ *\([0-9.]*\) *\([0-9.]*\) *[0-9.]*%  \(.*nccl.*\)/\1|\2|\3/p' "$file" >"$out/b"
    while IFS='|' read -r microseconds launches kernel; do
      row overlap "process $found: $(printf '%.100s' "$kernel")" measured "$microseconds" us "$launches launches a step"
    done <"$out/b"
  done
  [ "$found" = 2 ] ||
    row overlap "timelines of two ranks" failed "$found" files "expected 2: $(last_words "$out/overlap.log")"
}

# The share is the part of the bytes that crosses a rank's link, of two ranks: bench gives bytes × share / time.
check_collectives() {
  on_nccl collectives || return
  for megabytes in 1 64; do
    log=$out/collectives-$megabytes
    timeout 100 "$ferula" bench --ranks 2 --only collectives --megabytes $megabytes --json >"$log.json" 2>"$log.log"
    if ! grep -q '"communicator": *"nccl' "$log.json"; then
      row collectives "2 ranks, $megabytes MiB" failed "" "" "no NCCL: $(last_words "$log.log")"
      continue
    fi
    tr '}' '\n' <"$log.json" |
      sed -n 's/.*"name": *"\([^"]*\)".*"median": *\([^,]*\),"lowest": *\([^,]*\),"highest": *\([^,]*\).*/\1|\2|\3|\4/p' |
      awk -F '|' -v bytes=$((megabytes << 20)) '{
        share = $1 ~ /^(all-reduce|broadcast)/ ? 1.0 : 0.5
        printf "%s|%.4f|%.2f GB/s of bus bandwidth, %.2f to %.2f\n", $1, bytes * share / $2 * 1e-6, $2, $3, $4 }' \
        >"$out/b"
    while IFS='|' read -r name milliseconds note; do
      row collectives "2 ranks, NCCL, $name, $megabytes MiB" measured "$milliseconds" ms "$note"
    done <"$out/b"
  done
  off_nccl
}
