#!/usr/bin/env python3
"""docs_messages.py SOURCE: whether the messages that docs/ quotes are those of the program.

```message        stands in one string of src/, env/ or slurm/: `…` for what is filled in, any white space for any other
```message NAME   is of another program (FOREIGN): each line, or its pieces between `…`, stands in that program's files;
                  where it is not installed, that is said and nothing is tested
```

docs/troubleshooting.md has an entry, `### symptom`, for at least SYMPTOMS symptoms, each with a message or a console.
"""

import glob
import pathlib
import re
import sys

from docs_blocks import fences_of, pages_of, words_of

SYMPTOMS = 20
FOREIGN = {
    "slurm": ["/usr/lib/*/slurm-wlm/*.so*", "/usr/lib/*/libslurm*.so*", "/usr/bin/s[a-z]*", "/usr/sbin/slurm*"],
    "openmpi": ["/usr/share/openmpi/*.txt"],
    "lmod": ["/usr/share/lmod/lmod/messageDir/en.lua"],
}
TOKEN = re.compile(r"""
    //[^\n]* | /\*.*?\*/ | '(?:[^'\\\n]|\\.)'
  | R"(?P<mark>[^\s()]*)\((?P<raw>.*?)\)(?P=mark)"
  | "(?P<plain>(?:[^"\\\n]|\\.)*)"
  | (?P<code>\S)""", re.DOTALL | re.VERBOSE)


def strings_of(code):
    """The texts of C++ string literals; adjacent ones are one text."""
    found, is_open = [], False
    for token in TOKEN.finditer(code):
        raw, plain = token["raw"], token["plain"]
        if raw is not None or plain is not None:
            text = raw if raw is not None else plain.replace(r"\n", "\n").replace(r"\"", '"').replace(r"\\", "\\")
            if is_open:
                found[-1] += text
            else:
                found.append(text)
        if raw is not None or plain is not None or token["code"]:
            is_open = not token["code"]
    return found


def texts_of(source):
    found = []
    for path in sorted((source / "src").rglob("*.[ch]pp")):
        found += strings_of(path.read_text(encoding="utf-8"))
    scripts = [*(source / "env").glob("*.sh"), *(source / "slurm").glob("*.sbatch")]
    return [words_of(text) for text in found + [path.read_text(encoding="utf-8") for path in scripts]]


def pieces_of(lines):
    return [piece for line in lines for piece in map(words_of, line.split("…")) if piece]


def is_said(pieces, texts):
    """Between the pieces of a message stands a placeholder: `{}` of a format, or a `$variable` of a script."""
    filled_in = r'\s*["\'(]?(?:\{[^{}]*\}|\$\{?\w+\}?)["\')]?\s*'
    pattern = re.compile(f"(?:{filled_in})+".join(map(re.escape, pieces)))
    return any(pattern.search(text.replace("{{", "{").replace("}}", "}")) for text in texts)


def mistakes_of(source):
    texts, files = texts_of(source), {}
    for page in pages_of(source):
        for block in fences_of(source, page):
            if block.language != "message":
                continue
            place, owner = f"{block.page}:{block.line}", " ".join(block.tags)
            pieces = pieces_of(block.text if owner else [" ".join(block.text)])
            if owner and owner not in FOREIGN:
                yield f"{place}: expected no name or one of {', '.join(FOREIGN)}, found {owner}"
            elif owner:
                if owner not in files:
                    paths = [path for pattern in FOREIGN[owner] for path in glob.glob(pattern)]
                    files[owner] = b"\n".join(pathlib.Path(path).read_bytes() for path in paths)
                    if not paths:
                        print(f"NOT TESTED: messages of {owner}, which is not installed")
                lost = [piece for piece in pieces if piece.encode() not in b" ".join(files[owner].split())]
                if lost and files[owner]:
                    yield f"{place}: expected a message of {owner}, found nowhere in its files: {lost}"
            elif not pieces or not is_said(pieces, texts):
                yield f"{place}: expected a message of the program, found in none of its strings: {' … '.join(pieces)}"


def entries_of(source):
    """The symptoms of the page about trouble, and those of them without a message or a console."""
    page = source / "docs" / "troubleshooting.md"
    parts = re.split(r"^### ", page.read_text(encoding="utf-8"), flags=re.M)[1:]
    return parts, [part.splitlines()[0] for part in parts if not re.search(r"^```(message|console)", part, re.M)]


def main():
    source = pathlib.Path(sys.argv[1]).resolve()
    failures = list(mistakes_of(source))
    symptoms, silent = entries_of(source)
    failures += [f"docs/troubleshooting.md: expected a message or a console for '{each}'" for each in silent]
    if len(symptoms) < SYMPTOMS:
        failures.append(f"docs/troubleshooting.md: expected {SYMPTOMS} symptoms, found {len(symptoms)}")
    print("\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
