#!/usr/bin/env python3
"""typed_in_zsh.py FOLDER WORDS: what WORDS become in a real zsh at a press of the tabulator key.

FOLDER holds the completion `_ferula`. Printed is the line that then stands there.
"""

import os
import pty
import select
import sys
import time

PATIENCE_S = 20
# Ctrl-X prints the line, between marks that nobody types: what is typed here has them in two halves.
SETTINGS = """fpath=({folder!r} $fpath); autoload -Uz compinit; compinit -u -D
show() {{ zle -I; print -r -- "<"'<'"$BUFFER"">"'>'; }}; zle -N show; bindkey '^X' show; print -r -- '<''<ready>''>'
"""


class Shell:
    def __init__(self):
        pid, self.terminal = pty.fork()
        if pid == 0:
            os.execvpe("zsh", ["zsh", "-f", "-i"], os.environ | {"TERM": "dumb", "LANG": "C.UTF-8"})
        self.text = ""

    def type(self, keys):
        os.write(self.terminal, keys.encode())

    def next_line(self):
        """What stands between the next two marks."""
        end = time.monotonic() + PATIENCE_S
        while self.text.partition("<<")[2].find(">>") < 0:
            if time.monotonic() > end:
                sys.exit(f"typed_in_zsh.py: expected a line between marks, found:\n{self.text}")
            if select.select([self.terminal], [], [], 0.2)[0]:
                self.text += os.read(self.terminal, 4096).decode(errors="replace")
        line, _, self.text = self.text.partition("<<")[2].partition(">>")
        return line


def main():
    folder, words = sys.argv[1:]
    shell = Shell()
    shell.type(SETTINGS.format(folder=folder))
    shell.next_line()
    shell.type(words + "\t\x18")
    print(shell.next_line())


if __name__ == "__main__":
    main()
