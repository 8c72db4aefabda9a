#!/bin/sh
# Packs the built program with the shared libraries that it needs into one archive, which runs wherever it is unpacked:
# on a machine without Open MPI, HDF5, oneDNN and so on. The system's glibc and the GPU's driver are never packed.
set -eu

usage() {
  cat <<'TEXT'
usage: env/bundle.sh [options] ARCHIVE.tar.xz

  --build DIR     where ferula was built (default: build)
  --program FILE  another program to pack, started as bin/NAME: a test, a benchmark (may be repeated)
  --cuda          pack the CUDA libraries that libferula_cuda.so needs, too (several hundred MB)
  --level N       effort of xz, 0 to 9 (default: 6)

The archive holds one folder, ferula-bundle; start ferula-bundle/bin/ferula. It needs a glibc as new as this machine's
newest symbol that is used, and its starter says so where it finds an older one. It packs Open MPI for ranks on one
machine and over TCP; on a cluster with a fast network build from source against the cluster's MPI.
TEXT
}

fail() { echo "env/bundle.sh: $1" >&2; exit "${2:-1}"; }

here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
build=$here/../build
programs=""
level=6
cuda=no
archive=""
while [ $# -gt 0 ]; do
  case $1 in
    --build) build=${2:?--build needs a folder}; shift ;;
    --program) programs="$programs ${2:?--program needs a file}"; shift ;;
    --cuda) cuda=yes ;;
    --level) level=${2:?--level needs a number}; shift ;;
    --help | -h) usage; exit 0 ;;
    -*) fail "expected one of the options in --help, found '$1'" 2 ;;
    *) archive=$1 ;;
  esac
  shift
done
[ -n "$archive" ] || { usage >&2; exit 2; }
[ -x "$build/ferula" ] || fail "expected the built program $build/ferula; build it first, or name its folder: --build DIR"
for tool in ompi_info orterun objdump strip xz; do
  command -v $tool >/dev/null || fail "expected to find '$tool'; env/debian.sh installs it"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/ferula-bundle
mkdir -p "$root/bin" "$root/libexec" "$root/lib"

# --- programs -------------------------------------------------------------------------------------------------------
cp "$build/ferula" "$root/libexec/"
for library in libferula_cuda.so libferula_cudnn.so; do
  [ ! -e "$build/$library" ] || cp "$build/$library" "$root/libexec/"
done
for program in $programs; do
  [ -x "$program" ] || fail "expected a program, found no executable file '$program'"
  cp "$program" "$root/libexec/"
done

# --- Open MPI and PMIx ------------------------------------------------------------------------------------------------
# Plug-ins for networks, OpenSHMEM and other schedulers bring tens of MB of libraries, and have no use on one machine.
unused='_(ofi|ucx|openib|psm2?|flux|jsm|gridengine|romio[0-9]*|monitoring)\.so$|/mca_(memheap|scoll|spml|sshmem|atomic)_'
place_of() { ompi_info --path "$1" --parsable | sed "s/^path:$1://"; }
mkdir -p "$root/openmpi/bin" "$root/openmpi/lib" "$root/openmpi/plugins" "$root/openmpi/share" "$root/openmpi/etc"
for plugin in "$(place_of pkglibdir)"/mca_*.so; do
  echo "$plugin" | grep -Eq "$unused" || cp "$plugin" "$root/openmpi/plugins/"
done
cp "$(place_of pkgdatadir)"/help-*.txt "$root/openmpi/share/"
cp "$(readlink -f "$(command -v orterun)")" "$root/openmpi/bin/orterun"
cp "$(readlink -f "$(command -v orted)")" "$root/openmpi/bin/orted"
ln -s orterun "$root/openmpi/bin/mpirun"
ln -s ../openmpi/bin/orterun "$root/libexec/mpirun"  # for whoever starts ranks without ferula: bin/mpirun bin/TEST
for parameters in "$(place_of sysconfdir)"/openmpi-mca-params.conf; do
  [ ! -e "$parameters" ] || cp "$parameters" "$root/openmpi/etc/"
done

needed_by() { ldd "$@" 2>/dev/null | awk '/=>/ { print $1, $3 }'; }
pmix=$(needed_by "$root"/openmpi/plugins/*.so | awk '$1 ~ /^libpmix/ && $2 ~ /^\// { print $2; exit }')
if [ -n "$pmix" ]; then
  real=$(readlink -f "$pmix")
  mkdir -p "$root/pmix/plugins" "$root/pmix/share"
  for plugin in "$(dirname "$real")"/pmix/*.so "$(dirname "$real")"/pmix2/lib/pmix/*.so; do
    [ ! -e "$plugin" ] || cp "$plugin" "$root/pmix/plugins/"
  done
  for text in "$(dirname "$real")"/../share/pmix/help-*.txt /usr/share/pmix/help-*.txt \
    "$(dirname "$real")"/../share/help-*.txt; do
    [ ! -e "$text" ] || cp "$text" "$root/pmix/share/"
  done
fi

# --- shared libraries -------------------------------------------------------------------------------------------------
system='^(linux-vdso|ld-linux.*|lib(c|m|mvec|dl|rt|pthread|resolv|util|anl|nsl|nss_.*|thread_db|BrokenLocale))\.so'
driver='^lib(cuda|nvidia.*|nvcuvid)\.so'
toolkit='^lib(cublas|cudart|cudnn|cufft|curand|cusolver|cusparse|nccl|nvrtc|nvJitLink)[^.]*\.so'
needed_by "$root"/libexec/* "$root"/openmpi/bin/* "$root"/openmpi/plugins/*.so "$root"/pmix/plugins/*.so |
  sort -u | grep -Ev "$system|$driver" >"$work/needed" || true
[ "$cuda" = yes ] || { grep -Ev "$toolkit" "$work/needed" >"$work/kept"; mv "$work/kept" "$work/needed"; }
while read -r name path; do
  case $path in
    /*) cp -L "$path" "$root/lib/$name" ;;
    *) fail "expected to find the shared library $name, which the program needs, found it nowhere" ;;
  esac
done <"$work/needed"

find "$root" -type f \( -name '*.so*' -o -path '*/libexec/*' -o -path '*/openmpi/bin/*' \) >"$work/binaries"
while read -r binary; do
  chmod u+w "$binary"
  strip --strip-unneeded "$binary"
done <"$work/binaries"

# --- the starters, which know the oldest glibc ------------------------------------------------------------------------
glibc=$(xargs objdump -T <"$work/binaries" 2>/dev/null | grep -oE 'GLIBC_2\.[0-9]+' | sort -u -V | tail -n 1)
glibc=${glibc#GLIBC_}
for program in "$root"/libexec/*; do
  case $program in *.so) continue ;; esac
  sed "s/@GLIBC@/$glibc/" "$here/bundle_start.sh" >"$root/bin/$(basename "$program")"
  chmod +x "$root/bin/$(basename "$program")"
done
cp "$here/../LICENSE" "$root/"
{
  "$root/bin/ferula" --version
  echo "needs glibc $glibc or later, and $(uname -m)"
  awk '{ print $1 }' "$work/needed"
} >"$root/CONTENTS.txt"

mkdir -p "$(dirname "$archive")"
tar -C "$work" --owner=0 --group=0 --sort=name -cf - ferula-bundle | xz -T0 "-$level" >"$archive"
echo "$archive: $(du -k "$archive" | cut -f 1) KiB, needs glibc $glibc or later"
