#!/bin/sh
# A SLURM of two nodes on this host, with GPUs that exist by name only, in a folder of its own. As root.
# usage: cluster.sh start DIR | stop DIR | start_node DIR NODE | kill_node DIR NODE
# Afterwards `. DIR/environment` makes sbatch, srun and the others speak to it.
set -eu
act=$1
dir=$2

free_ports() {
  python3 -c 'import socket
sockets = [socket.socket() for _ in range(3)]
[s.bind(("127.0.0.1", 0)) for s in sockets]
print(*[s.getsockname()[1] for s in sockets])'
}

write_configuration() {
  host=$(hostname -s)
  # shellcheck disable=SC2046
  set -- $(free_ports)
  cat >"$dir/slurm.conf" <<TEXT
ClusterName=tests
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$1
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$dir/munge/socket,cred_expire=5
SlurmUser=root
SlurmdUser=root
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog=$dir/task_prolog
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
KillWait=10
MinJobAge=600
SlurmdTimeout=6
InactiveLimit=0
ReturnToService=2
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool.%n
TmpFS=$dir/tmp.%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.%n.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.%n.log
GresTypes=gpu
NodeName=node1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$2 CPUs=64 RealMemory=512000 Gres=gpu:8
NodeName=node2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$3 CPUs=64 RealMemory=512000 Gres=gpu:8
PartitionName=defq Nodes=node[1-2] Default=YES MaxTime=INFINITE DefaultTime=04:00:00 OverSubscribe=NO
PartitionName=a6000 Nodes=node[1-2] MaxTime=1-00:00:00
TEXT
  echo "SlurmdParameters=config_overrides" >>"$dir/slurm.conf"  # the nodes may claim more than this host has
  for gpu in 0 1 2 3 4 5 6 7; do ln -s /dev/null "$dir/gpu$gpu"; done  # a device file that nobody opens
  echo "Name=gpu File=$dir/gpu[0-7]" >"$dir/gres.conf"
  echo "CgroupAutomount=no" >"$dir/cgroup.conf"
  # Two nodes of one host share /dev/shm: Open MPI's segments must not meet there.
  cat >"$dir/task_prolog" <<TEXT
#!/bin/sh
echo export OMPI_MCA_btl_vader_backing_directory=$dir/tmp.\$SLURMD_NODENAME
echo export OMPI_MCA_mpi_yield_when_idle=1
TEXT
  chmod +x "$dir/task_prolog"
  cat >"$dir/environment" <<TEXT
export SLURM_CONF=$dir/slurm.conf
TEXT
}

start_munge() {
  mkdir -p "$dir/munge"
  chmod 0755 "$dir" "$dir/munge"
  head -c 1024 /dev/urandom >"$dir/munge/key"
  chmod 0400 "$dir/munge/key"
  munged --force --key-file="$dir/munge/key" --socket="$dir/munge/socket" --pid-file="$dir/munge/pid" \
    --log-file="$dir/munge/log" --seed-file="$dir/munge/seed"
}

# With empty temporary folders, as after a boot: what killed steps have left would be in the way of their next start.
start_node() {
  rm -rf "$dir/tmp.$1" "$dir/spool.$1"
  mkdir -p "$dir/tmp.$1" "$dir/spool.$1"
  SLURM_CONF=$dir/slurm.conf slurmd -N "$1"
}

has_variable() { { tr '\0' '\n' <"/proc/$1/environ" | grep -q -x -F "$2"; } 2>/dev/null; }

# As a power failure would: its slurmd, its ranks, and the step daemons above them.
kill_node() {
  victims=$(cat "$dir/slurmd.$1.pid")
  for folder in /proc/[0-9]*; do
    process=${folder#/proc/}
    has_variable "$process" "SLURMD_NODENAME=$1" || continue
    has_variable "$process" "SLURM_CONF=$dir/slurm.conf" || continue
    parent=$(sed -n 's/^PPid:[[:space:]]*//p' "$folder/status" 2>/dev/null || echo 0)
    victims="$victims $process"
    [ "$(cat "/proc/$parent/comm" 2>/dev/null)" != slurmstepd ] || victims="$victims $parent"
  done
  for process in $victims; do kill -9 "$process" 2>/dev/null || true; done
}

case $act in
  start)
    mkdir -p "$dir/state"
    write_configuration
    start_munge
    SLURM_CONF=$dir/slurm.conf slurmctld
    start_node node1
    start_node node2
    tries=0
    until [ "$(SLURM_CONF=$dir/slurm.conf sinfo -h -N -t idle -p defq 2>/dev/null | wc -l)" -eq 2 ]; do
      tries=$((tries + 1))
      [ $tries -lt 30 ] || { cat "$dir"/*.log >&2; echo "cluster.sh: expected two idle nodes" >&2; exit 1; }
      sleep 0.3
    done
    ;;
  stop)
    for file in "$dir"/slurmd.*.pid "$dir/slurmctld.pid" "$dir/munge/pid"; do
      [ -f "$file" ] || continue
      process=$(cat "$file")
      kill "$process" 2>/dev/null || continue
      timeout 10 tail --pid="$process" -f /dev/null
    done
    ;;
  start_node) start_node "$3" ;;
  kill_node) kill_node "$3" ;;
  *) echo "usage: cluster.sh start|stop|start_node|kill_node DIR [NODE]" >&2; exit 2 ;;
esac
