#!/bin/sh
# Trains on two hosts: network namespaces with names, addresses and shared memory of their own, joined by one cable.
# Without the right to make them it ends with 77, which counts as skipped.
# usage: two_hosts.sh PROGRAM
set -eu
program=$1
. "$(dirname "$0")/tiny_run.sh"
work=$(mktemp -d)
one=ferula-a-$$ two=ferula-b-$$
first=10.213.77.1 second=10.213.77.2
finish() { ip netns delete "$one" 2>/dev/null; ip netns delete "$two" 2>/dev/null; rm -rf "$work"; }
trap finish EXIT
fail() { echo "two_hosts.sh: $1" >&2; exit 1; }
skip() { echo "two_hosts.sh: skipped: $1"; exit 77; }

[ "$(id -u)" -eq 0 ] || skip "only root makes network namespaces"
command -v ip >/dev/null || skip "there is no ip (Debian: iproute2)"
ip netns add "$one" 2>/dev/null && ip netns add "$two" || skip "network namespaces are not allowed here"
ip link add ferula-a netns "$one" type veth peer name ferula-b netns "$two" || skip "no cable can be laid here"
cable() { ip -n "$1" addr add "$2/24" dev "$3" && ip -n "$1" link set "$3" up && ip -n "$1" link set lo up; }
cable "$one" "$first" ferula-a
cable "$two" "$second" ferula-b

# on HOST SHELL_COMMAND: as a login to that host would run it; also what mpirun takes for ssh.
cat >"$work/on" <<TEXT
#!/bin/sh
case \$1 in $first) name=$one ;; *) name=$two ;; esac
shift
exec ip netns exec "\$name" unshare --uts --mount sh -c \
  'hostname "\$1"; export LOADEDMODULES="\$1"; mount -t tmpfs none /dev/shm; shift; eval "\$*"' sh "\$name" "\$@"
TEXT
chmod +x "$work/on"

"$work/on" "$second" true || skip "a host of its own name and memory is not allowed here"

cd "$work"
write_tiny_run alone 'steps = 6' 'train_batch_size = 8' 'train_micro_batch_size_per_gpu = 2'
losses() { sed -n 's/.*"loss": *\([-+.0-9eE]*\)[,}].*/\1/p' "runs/$1/metrics.jsonl"; }

same_as_alone() {
  losses "$1" >with && losses alone >without
  [ "$(wc -l <with)" -eq 6 ] || fail "expected 6 steps of $1, found $(wc -l <with)"
  paste without with | awk '{ d = ($2 - $1) / $1; if (d < 0) d = -d; if (d > 1e-5) bad = bad " " NR }
    END { if (bad) { print "two_hosts.sh: other losses in steps" bad; exit 1 } }' >&2
}

"$program" train tiny.toml >alone.txt
for layout in "stage3 zero_optimization.stage=3" "hybrid zero_optimization.shard_size=2"; do
  name=${layout% *}
  "$work/on" "$first" "cd $work && mpirun --allow-run-as-root --bind-to none --mca plm_rsh_agent $work/on \
    --mca btl_tcp_if_include 10.213.77.0/24 --mca oob_tcp_if_include 10.213.77.0/24 --host $first:2,$second:2 -n 4 \
    $program train tiny.toml --set run.name=$name --set zero_optimization.stage=3 --set ${layout#* }" >"$name.txt" 2>&1 ||
    { cat "$name.txt" >&2; fail "the ranks of $name failed"; }
  grep -q '"host":"'"$one"'"' "runs/$name/summary.json" && grep -q '"host":"'"$two"'"' "runs/$name/summary.json" ||
    fail "expected ranks on both hosts: $(cat "runs/$name/summary.json")"
  same_as_alone "$name"
done
printf '%s slots=2\n' "$first" "$second" >hosts
"$work/on" "$first" "cd $work && OMPI_MCA_plm_rsh_agent=$work/on OMPI_MCA_btl_tcp_if_include=10.213.77.0/24 \
  OMPI_MCA_oob_tcp_if_include=10.213.77.0/24 FERULA_RUN__NAME=listed $program train tiny.toml --hostfile hosts" \
  >listed.txt 2>&1 || { cat listed.txt >&2; fail "the ranks of the hostfile failed"; }
same_as_alone listed
grep -q "4 ranks" listed.txt || fail "expected 4 ranks of the hostfile: $(cat listed.txt)"
grep '^  communication' stage3.txt | grep -q ' mpi' || fail "expected MPI between hosts: $(cat stage3.txt)"

# The doctor sees both hosts, and where they differ.
"$work/on" "$first" "cd $work && mpirun --allow-run-as-root --bind-to none --mca plm_rsh_agent $work/on \
  --mca btl_tcp_if_include 10.213.77.0/24 --mca oob_tcp_if_include 10.213.77.0/24 --host $first:2,$second:2 -n 4 \
  $program doctor --only modules --only shared-directory --only clock-offset --only network" >doctor.txt 2>&1 ||
  { cat doctor.txt >&2; fail "the doctor found a failure"; }
for words in "4 ranks on $one, $two" "hosts differ" "$one: $one" "$two: $two" "ok       shared-directory  seen" \
  "hosts talk over TCP"; do
  grep -qF "$words" doctor.txt || fail "expected '$words' of the doctor, found: $(cat doctor.txt)"
done
echo "two hosts train as one rank does, and the doctor tells them apart"
