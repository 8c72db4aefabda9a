#!/bin/sh
# apart.sh COMMAND…: runs a rank as if its node had a name, a driver, an NCCL and modules of its own. GPUs are there
# by name only. As root, in a step of tests/slurm; works in its current folder.
set -eu
mine=$PWD/apart/$SLURMD_NODENAME
mkdir -p "$mine"
case $SLURMD_NODENAME in node1) driver=550.54.15 nccl=2.21.5 ;; *) driver=535.104.05 nccl=2.18.3 ;; esac
: >"$mine/libnccl.so.$nccl"
if [ "$SLURM_LOCALID" -eq 0 ]; then
  cat >"$mine/nvidia-smi.new" <<TEXT
#!/bin/sh
case \$* in *driver_version*) echo $driver ;; -L) echo "GPU 0: NVIDIA RTX A5000 (UUID: GPU-0)" ;; *) exit 1 ;; esac
TEXT
  chmod +x "$mine/nvidia-smi.new"
  mv "$mine/nvidia-smi.new" "$mine/nvidia-smi"
fi
export LOADEDMODULES="GCC/12:CUDA/$driver" LD_LIBRARY_PATH="$mine" PATH="$mine:$PATH"
# shellcheck disable=SC2016
exec unshare --uts --mount sh -c 'hostname "$SLURMD_NODENAME"
mount -t tmpfs none /proc/driver && mkdir /proc/driver/nvidia && echo "NVRM version" >/proc/driver/nvidia/version
exec "$@"' sh "$@"
