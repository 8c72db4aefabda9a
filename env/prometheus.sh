# To be sourced (bash, zsh) on Prometheus: finds `module`, puts an installed Ferula into PATH, and says which compiler
# there is to build one.
#
#   source env/prometheus.sh                 # of an installed tree: DIR/share/ferula/env/prometheus.sh
#   FERULA_PREFIX=DIR source env/prometheus.sh
#
# FERULA_MODULES names the modules to load before, "GCC CUDA" by default: what the cluster calls its newest ones.
# It changes nothing but the environment, and never ends the shell that sources it.

_ferula_say() { echo "env/prometheus.sh: $1" >&2; }

_ferula_find_module() {
  command -v module >/dev/null 2>&1 && return 0
  for _ferula_file in /etc/profile.d/lmod.sh /etc/profile.d/z00_lmod.sh /etc/profile.d/modules.sh \
    /usr/share/lmod/lmod/init/bash; do
    [ -r "$_ferula_file" ] || continue
    . "$_ferula_file"
    command -v module >/dev/null 2>&1 && return 0
  done
  _ferula_say "expected the command 'module', found none; ask for Lmod, or put DIR/bin into PATH yourself"
  return 1
}

# Loads each module if it can: another cluster calls them differently, and the program itself needs none.
_ferula_load() {
  for _ferula_name in $(echo "$1"); do
    module load "$_ferula_name" >/dev/null 2>&1 ||
      _ferula_say "no module '$_ferula_name'; \`module avail\` lists them, FERULA_MODULES chooses"
  done
}

_ferula_compiler() {
  _ferula_gcc=$(gcc -dumpversion 2>/dev/null | cut -d. -f1)
  [ "${_ferula_gcc:-0}" -ge 12 ] 2>/dev/null ||
    _ferula_say "a build of Ferula needs GCC 12, found ${_ferula_gcc:-none}; env/spack.yaml builds it (docs/install.md)"
}

_ferula_here=${BASH_SOURCE:-$0}
_ferula_here=$(CDPATH='' cd "$(dirname "$_ferula_here")" 2>/dev/null && pwd)
_ferula_prefix=${FERULA_PREFIX:-$(CDPATH='' cd "$_ferula_here/../../.." 2>/dev/null && pwd)}

if _ferula_find_module; then
  _ferula_load "${FERULA_MODULES-GCC CUDA}"
  if [ -d "$_ferula_prefix/modules/ferula" ]; then
    module use "$_ferula_prefix/modules"
    module load ferula
  else
    _ferula_say "no installed Ferula at '$_ferula_prefix'; FERULA_PREFIX=DIR names one (docs/install.md)"
  fi
fi
_ferula_compiler
case $PWD in
  /trinity/home/*) _ferula_say "this is your home, 20 GB for settings only; work below /lustreFS/data/GROUP" ;;
esac
unset -f _ferula_say _ferula_find_module _ferula_load _ferula_compiler
unset _ferula_here _ferula_prefix _ferula_gcc _ferula_file _ferula_name
