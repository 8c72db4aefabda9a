#!/bin/sh
# beats_trigram.sh FERULA BEATS_TRIGRAM TEXT OUTPUT: trains configs/shakespeare.toml on TEXT below the directory OUTPUT
# and fails unless the validation loss is below that of a trigram model fitted to the same split.
set -eu
config=$(dirname "$0")/../../configs/shakespeare.toml
"$1" train "$config" --ranks 2 --resume never --set "data.text=[\"$3\"]" --set "run.output_dir=$4"
"$2" "$4/shakespeare"
