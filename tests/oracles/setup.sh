#!/bin/sh
# Makes a virtual environment with the peers and oracles: setup.sh DIR, then DIR/bin/python.
set -eu
directory=${1:?usage: setup.sh DIR}
here=$(cd "$(dirname "$0")" && pwd)
python3 -m venv "$directory"
"$directory/bin/pip" install --quiet --upgrade pip
"$directory/bin/pip" install --quiet -r "$here/requirements.txt"
"$directory/bin/python" -c 'import torch, transformers, deepspeed, h5py; print("ready: torch", torch.__version__)'
