# For `.` in the scripts beside it: write_tiny_run NAME TRAINING_LINE...: a text and the configuration of a run in which
# a small model trains in seconds, in the current folder.
write_tiny_run() {
  seq 1 400 | sed 's/.*/Line & of a text to learn./' >text.txt
  cat >tiny.toml <<TEXT
[run]
name = "$1"
device = "cpu"
[model]
layers = 2
width = 32
heads = 2
context = 32
[data]
text = ["text.txt"]
sequence_length = 16
[training]
TEXT
  shift
  printf '%s\n' "$@" >>tiny.toml
}
