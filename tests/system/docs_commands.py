#!/usr/bin/env python3
"""docs_commands.py SOURCE PROGRAM [--write] [PAGE...]: runs the command blocks of README.md and docs/*.md, as a reader.

All pages share one scratch folder: what README.md writes and trains is there for the pages after it. What blocks and
their tags are says docs_blocks.py. With pages, README.md and these alone are read. --write puts what the commands of
```console blocks have written into the pages.
"""

import pathlib
import re
import sys
import tempfile

from docs_blocks import ELSEWHERE, LANGUAGES, NOT_RUN, Reader, blocks_of, fences_of, pages_of, prepare, rewrite

LARGEST_SHARE_NOT_RUN = 0.1


def mistakes_of(source, blocks):
    """What is wrong with the pages before anything runs."""
    run_by_ci = (source / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    known = ", ".join([*ELSEWHERE, *NOT_RUN])
    for block in blocks:
        for tag in block.unknown_tags():
            yield f"{block.page}:{block.line}: expected no tag or one of {known}; found: {tag}"
        for line, command, _ in block.commands() if "ci" in block.tags else ():
            if command not in run_by_ci:
                yield f"{block.page}:{line}: expected a line of .ci/run, found: {command}"
    for page in pages_of(source):
        for block in fences_of(source, page):
            is_played = str(block.page) == "docs/wizard.md"  # a conversation at a terminal: WizardSystem has it
            if block.language not in LANGUAGES and block.text and block.text[0].startswith("$ ") and not is_played:
                yield f"{block.page}:{block.line}: expected commands in a block of {', '.join(LANGUAGES)}"
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not (page.parent / link).exists():
                yield f"{page.relative_to(source)}: expected a file at the link {link}"
    not_run = [block for block in blocks if block.has(NOT_RUN)]
    if not blocks or len(not_run) > LARGEST_SHARE_NOT_RUN * len(blocks):
        yield f"expected at most {LARGEST_SHARE_NOT_RUN:.0%} of the blocks not to run, found {len(not_run)}"


def main():
    words = [word for word in sys.argv[1:] if word != "--write"]
    source, program = (pathlib.Path(word).resolve() for word in words[:2])
    blocks = blocks_of(source)
    failures = list(mistakes_of(source, blocks))
    with tempfile.TemporaryDirectory(prefix="ferula-docs-") as name:
        folder = pathlib.Path(name) / "reader"
        prepare(folder, source, program)
        reader = Reader(folder)
        for block in blocks:
            is_wanted = not words[2:] or str(block.page) in ["README.md", *words[2:]]
            if is_wanted and not block.has(NOT_RUN) and not block.has(ELSEWHERE):
                reader.read(block)
    for block in blocks:
        for tag in block.tags:
            if tag in NOT_RUN or tag in ELSEWHERE:
                print(f"{block.page}:{block.line}: not run here: {(NOT_RUN | ELSEWHERE)[tag]}")
    print(f"{len(blocks)} blocks, {sum(block.has(NOT_RUN) for block in blocks)} of them not run")
    print("\n".join(failures + reader.failures))
    if "--write" in sys.argv:
        rewrite(source, reader)
    return 1 if failures or reader.failures else 0


if __name__ == "__main__":
    sys.exit(main())
