#!/bin/sh
# cudnn_frontend.sh DIR: puts the headers of NVIDIA's cudnn-frontend into DIR/include, from its wheel on PyPI. Needs a
# python3 with pip. Where they are already there it ends at once.
set -eu
directory=$1
version=1.32.0
hash=c6006556017a4d1c914c52a556c71b1267f2d6a0500f742e7b4edef539878df0
[ ! -e "$directory/include/cudnn_frontend.h" ] || exit 0
mkdir -p "$directory"
work=$(mktemp -d "$directory/download.XXXXXX")
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.11 \
  --platform manylinux_2_28_x86_64 --timeout 20 --retries 1 -d "$work" "nvidia-cudnn-frontend==$version"
echo "$hash  $(echo "$work"/*.whl)" | sha256sum --check --quiet
python3 -m zipfile -e "$work"/*.whl "$work/wheel"
mv "$work/wheel/include" "$directory/include"
