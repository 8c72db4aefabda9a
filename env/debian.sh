#!/bin/sh
# Installs the packages that Ferula is built and tested with on Debian 12. As root, or with sudo. Where everything is
# there already it ends at once and needs no network. `--slurm`: also what only tests of a cluster's life use: a SLURM of
# this host's own, zsh and fish.
set -eu

packages="
build-essential ccache cmake git ninja-build pkg-config
libboost1.81-dev libboost-context1.81-dev libboost-json1.81-dev libboost-program-options1.81-dev
libdnnl-dev libfmt-dev libhdf5-dev libhwy-dev libopenmpi-dev libspdlog-dev libtoml11-dev libxxhash-dev libyaml-cpp-dev
openmpi-bin
libbenchmark-dev libgmock-dev libgtest-dev
clang-format-14 clang-tidy-14
bsdextrautils hdf5-tools iproute2 lmod man-db python3-h5py tcl xz-utils
"
[ "${1:-}" != --slurm ] || packages="$packages fish munge shellcheck slurm-client slurm-wlm-basic-plugins slurmctld slurmd zsh"

missing=""
for package in $packages; do
  state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
  as_root=""
elif command -v sudo >/dev/null; then
  as_root="sudo"
else
  echo "env/debian.sh: expected to be root or to find sudo; ask an administrator to install:$missing" >&2
  exit 1
fi
echo "env/debian.sh: installing$missing"
$as_root apt-get update --quiet
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends $missing
