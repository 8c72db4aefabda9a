#!/bin/sh
# Starts the program of its own name from an unpacked bundle: bin/ferula runs libexec/ferula with the bundle's libraries
# and the bundle's Open MPI. env/bundle.sh fills in what stands between @.
set -eu

program=$(basename "$0")
folder=$(CDPATH='' cd "$(dirname "$(readlink -f "$0")")/.." && pwd)

needed=@GLIBC@
found=$(getconf GNU_LIBC_VERSION 2>/dev/null || ldd --version 2>/dev/null | head -n 1 || true)
found=${found##* }
older() {  # older A B: whether version A is before B
  [ "${1%%.*}" -lt "${2%%.*}" ] || { [ "${1%%.*}" -eq "${2%%.*}" ] && [ "${1##*.}" -lt "${2##*.}" ]; }
}
case $found in
  [0-9]*.[0-9]*)
    if older "$found" "$needed"; then
      echo "$program: expected glibc $needed or later, with which this bundle was built, found $found on $(uname -n);" \
        "build Ferula from its source on this system (README.md), or use a bundle that was made on one as old" >&2
      exit 1
    fi ;;
  *)
    echo "$program: expected a system with glibc $needed or later, found none (neither getconf nor ldd tells its" \
      "version); build Ferula from its source on this system" >&2
    exit 1 ;;
esac

# By the environment and not by RPATH: ranks, mpirun and the plug-ins of Open MPI and PMIx find the libraries as well.
libraries=$folder/lib
for toolkit in /usr/local/cuda/lib64 /usr/local/cuda/lib; do
  if [ -d "$toolkit" ]; then libraries=$libraries:$toolkit; fi
done
export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export PATH="$folder/openmpi/bin:${PATH:-/usr/local/bin:/usr/bin:/bin}"

# Open MPI looks for its parts where it was installed unless it is told otherwise.
export OPAL_PREFIX="$folder/openmpi" OPAL_EXEC_PREFIX="$folder/openmpi" OPAL_BINDIR="$folder/openmpi/bin"
export OPAL_LIBDIR="$folder/openmpi/lib" OPAL_PKGLIBDIR="$folder/openmpi/plugins"
export OPAL_DATADIR="$folder/openmpi/share" OPAL_PKGDATADIR="$folder/openmpi/share" OPAL_SYSCONFDIR="$folder/openmpi/etc"
export PMIX_PREFIX="$folder/pmix" PMIX_PKGLIBDIR="$folder/pmix/plugins" PMIX_PKGDATADIR="$folder/pmix/share"
# Ranks on one machine need no remote shell; without one mpirun would refuse to start.
if [ -z "${SLURM_JOB_ID:-}" ] && ! command -v ssh >/dev/null && ! command -v rsh >/dev/null; then
  export OMPI_MCA_plm="${OMPI_MCA_plm:-isolated}"
fi

exec "$folder/libexec/$program" "$@"
