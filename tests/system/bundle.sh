#!/bin/sh
# Makes a bundle of a built program, unpacks it elsewhere and starts it with an empty environment.
# usage: bundle.sh SOURCE_FOLDER BUILD_FOLDER
set -eu
source=$1
build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "bundle.sh: $1" >&2; exit 1; }

"$source/env/bundle.sh" --build "$build" --level 3 "$work/made/ferula.tar.xz"
bytes=$(stat -c %s "$work/made/ferula.tar.xz")
[ "$bytes" -le 25000000 ] || fail "expected an archive of at most 25 MB, found $bytes bytes"

mkdir "$work/un packed"
tar -C "$work/un packed" -xJf "$work/made/ferula.tar.xz"
bundle="$work/un packed/ferula-bundle"
rm -rf "$work/made"
[ "$(env -i "$bundle/bin/ferula" --version)" = "$("$build/ferula" --version)" ] || fail "another version in the bundle"

# Nothing but the system's glibc comes from outside.
env -i LD_LIBRARY_PATH="$bundle/lib" ldd "$bundle/libexec/ferula" "$bundle"/openmpi/bin/ort* "$bundle"/openmpi/plugins/* |
  grep '=>' | grep -Fv "=> $bundle/lib/" | awk '{ print $1 }' | sort -u |
  grep -Ev '^(linux-vdso|ld-linux-x86-64|lib(c|m|dl|rt|pthread|resolv|util))\.so' >"$work/outside" || true
[ ! -s "$work/outside" ] || fail "expected these libraries in the bundle: $(tr '\n' ' ' <"$work/outside")"

cd "$work"
. "$source/tests/system/tiny_run.sh"
write_tiny_run tiny 'steps = 4' 'train_batch_size = 12' 'train_micro_batch_size_per_gpu = 2'
for ranks in --ranks-simulated --ranks; do
  env -i "$bundle/bin/ferula" train tiny.toml $ranks 2 --resume never >out.txt 2>&1 || { cat out.txt; fail "$ranks 2"; }
  grep -q 'finished after step 4 of 4' out.txt || { cat out.txt; fail "$ranks 2 did not finish"; }
done

# An older system is refused in words.
mkdir old
printf '#!/bin/sh\necho glibc 2.28\n' >old/getconf
chmod +x old/getconf
if PATH="$work/old:$PATH" "$bundle/bin/ferula" --version >out.txt 2>&1; then fail "a system with glibc 2.28 was accepted"; fi
grep -q 'expected glibc 2\.[0-9]* or later.*found 2\.28' out.txt || { cat out.txt; fail "no words about glibc"; }

# So is a wrong request.
if "$source/env/bundle.sh" --build "$work/old" none.tar.xz 2>out.txt; then fail "made a bundle of nothing"; fi
grep -q 'expected the built program' out.txt || { cat out.txt; fail "no words about the missing program"; }
