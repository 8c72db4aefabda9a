#!/bin/sh
# install.sh BUILD: installs into a fresh prefix and uses what lies there, as a user would: program, man pages,
# completion, and modulefiles with the real Lmod and the real Tcl modules (Debian's packages exclude each other, so the
# latter is downloaded and unpacked aside; where that cannot be, its part is skipped and says so).
set -eu

build=$1
here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix="$work/a prefix"

fail() { echo "install.sh: $1" >&2; exit 1; }

cmake --install "$build" --prefix "$prefix" >"$work/log" || { cat "$work/log"; fail "cmake --install failed"; }
version=$("$prefix/bin/ferula" --version | cut -d' ' -f2)

# --- what is there ----------------------------------------------------------------------------------------------------
for file in bin/ferula "modules/ferula/$version" "modules/ferula/$version.lua" share/man/man1/ferula.1 \
  share/man/man1/ferula-train.1 share/bash-completion/completions/ferula share/zsh/site-functions/_ferula \
  share/fish/vendor_completions.d/ferula.fish share/ferula/configs/quickstart.toml share/ferula/env/prometheus.sh \
  share/ferula/env/spack.yaml share/doc/ferula/usage.md; do
  [ -e "$prefix/$file" ] || fail "expected $file in the prefix"
done
cd "$work"
"$prefix/bin/ferula" config check "$prefix/share/ferula/configs/quickstart.toml" >/dev/null

# --- man pages --------------------------------------------------------------------------------------------------------
for page in "$prefix"/share/man/man1/*.1; do
  warnings=$(MANWIDTH=100 man --warnings -E UTF-8 -l "$page" 2>&1 >"$work/page")
  [ -z "$warnings" ] || fail "$page: $warnings"
done
man -l "$prefix/share/man/man1/ferula-train.1" | col -b | grep -q -e '--resume' || fail "ferula-train.1 has no --resume"
[ "$(ls "$prefix/share/man/man1" | wc -l)" -eq $(($("$prefix/bin/ferula" --help | grep -c '^  [a-z]') + 1)) ] ||
  fail "expected a page of every command"

# --- completion -------------------------------------------------------------------------------------------------------
# complete WORD…: what bash offers for the last word.
complete() {
  bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt() { :; }
           _ferula; printf "%s\n" "${COMPREPLY[@]}"' - "$prefix/share/bash-completion/completions/ferula" "$@"
}
[ "$(complete ferula tr)" = train ] || fail "bash does not complete 'tr' to train"
[ "$(complete ferula config im)" = import ] || fail "bash does not complete 'config im' to import"
[ "$(complete ferula train --res)" = --resume ] || fail "bash does not complete 'train --res' to --resume"
[ "$(complete ferula train a.toml --set zero_optimization.shard)" = zero_optimization.shard_size= ] ||
  fail "bash does not complete a key behind --set"
[ "$(bash -c '. "$1"; complete -p ferula' - "$prefix/share/bash-completion/completions/ferula")" = \
  'complete -o default -F _ferula ferula' ] || fail "bash has no completion of ferula"

# typed WORDS: the line that a real zsh makes of it; offered WORDS: what a real fish offers for the last word.
typed() { "$here/typed_in_zsh.py" "$prefix/share/zsh/site-functions" "$1"; }
offered() {
  HOME=$work fish --no-config -c 'source $argv[1]; complete -C $argv[2]' \
    "$prefix/share/fish/vendor_completions.d/ferula.fish" "$1" | cut -f1
}
if command -v zsh >/dev/null; then
  [ "$(typed 'ferula tr')" = 'ferula train ' ] || fail "zsh does not complete 'tr' to train: $(typed 'ferula tr')"
  [ "$(typed 'ferula config im')" = 'ferula config import ' ] || fail "zsh does not complete 'config im' to import"
  [ "$(typed 'ferula train --res')" = 'ferula train --resume ' ] || fail "zsh does not complete '--res' to --resume"
  [ "$(typed 'ferula train a.toml --set zero_optimization.shard')" = \
    'ferula train a.toml --set zero_optimization.shard_size=' ] || fail "zsh does not complete a key behind --set"
else
  echo "install.sh: skipped zsh, which is not installed (env/debian.sh --slurm)"
fi
if command -v fish >/dev/null; then
  [ "$(offered 'ferula tr')" = train ] || fail "fish does not complete 'tr' to train"
  [ "$(offered 'ferula config im')" = import ] || fail "fish does not complete 'config im' to import"
  [ "$(offered 'ferula train --res')" = --resume ] || fail "fish does not complete '--res' to --resume"
  [ "$(offered 'ferula train a.toml --set zero_optimization.shard')" = zero_optimization.shard_size= ] ||
    fail "fish does not complete a key behind --set"
else
  echo "install.sh: skipped fish, which is not installed (env/debian.sh --slurm)"
fi

# --- modules ----------------------------------------------------------------------------------------------------------
mkdir "$work/modules"
cp -R "$prefix/modules/ferula" "$work/modules/ferula"
for suffix in "" .lua; do  # an older version, to be swapped
  sed "s|a prefix|an older prefix|" "$prefix/modules/ferula/$version$suffix" >"$work/modules/ferula/0.0.1$suffix"
done

# What a shell with the modules of `init` does; the environment must come back to what it was.
cat >"$work/use.bash" <<'TEXT'
. "$init" >/dev/null
fail() { echo "$init: $1" >&2; exit 1; }
state() { env | grep -v -e '^_=' -e '^__' -e MODULE -e LMOD -e _ModuleTable -e _LM | sort; }
module use "$modules"
before=$(state)
module load "ferula/$version"
[ "$(ferula --version | cut -d' ' -f2)" = "$version" ] || fail "no ferula after module load"
[ "$FERULA_ROOT" = "$prefix" ] || fail "FERULA_ROOT is $FERULA_ROOT"
ferula config keys >/dev/null || fail "the variables of the module disturb ferula"
module swap "ferula/$version" ferula/0.0.1
[ "$FERULA_ROOT" = "${prefix/a prefix/an older prefix}" ] || fail "swap left FERULA_ROOT at $FERULA_ROOT"
case :$PATH: in *":$prefix/bin:"*) fail "swap left the first version in PATH" ;; esac
module unload ferula
[ "$(state)" = "$before" ] || { diff <(echo "$before") <(state); fail "unload left something behind"; }
echo "$init: load, swap, unload"
TEXT
use_modules() {
  env -i HOME="$work" PATH=/usr/local/bin:/usr/bin:/bin init="$1" modules="$work/modules" version="$version" \
    prefix="$prefix" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 bash --norc "$work/use.bash"
}

lmod=/usr/share/lmod/lmod/init/bash
[ -e "$lmod" ] && use_modules "$lmod" || fail "Lmod ($lmod; env/debian.sh installs it) failed"

tcl=/usr/share/modules/init/bash
if [ ! -e "$tcl" ] && (cd "$work" && apt-get download environment-modules >/dev/null 2>&1); then
  dpkg -x "$work"/environment-modules_*.deb "$work/tcl"
  for file in "$work/tcl/usr/share/modules/init/bash" "$work"/tcl/usr/lib/*/modulecmd.tcl; do
    sed -i "s#/usr/lib/[a-z0-9_-]*linux-gnu#$work/tcl&#g; s#/usr/share/modules#$work/tcl&#g
            s#/etc/environment-modules#$work/tcl&#g" "$file"
  done
  tcl=$work/tcl/usr/share/modules/init/bash
fi
if [ -e "$tcl" ]; then
  use_modules "$tcl"
else
  echo "install.sh: skipped Tcl modules, which can neither be found nor downloaded"
fi

# --- env/prometheus.sh ------------------------------------------------------------------------------------------------
env -i HOME="$work" PATH=/usr/local/bin:/usr/bin:/bin FERULA_MODULES="no-such" bash --norc -c '
  . "$1/share/ferula/env/prometheus.sh" && command -v ferula' - "$prefix" >"$work/out" 2>"$work/err" ||
  { cat "$work/err"; fail "env/prometheus.sh did not put ferula into PATH"; }
[ "$(cat "$work/out")" = "$prefix/bin/ferula" ] || fail "expected the installed program, found $(cat "$work/out")"
grep -q "no module 'no-such'" "$work/err" || fail "env/prometheus.sh is silent about a missing module"
