#!/usr/bin/env python3
"""docs_commands.py SOURCE PROGRAM: runs every ```sh block of README.md and docs/*.md, line by line, as a reader would.

All pages share one scratch folder: what README.md writes and trains is there for the pages after it. Models are made
small through the environment, and each line trains a few steps further than the one before. A block that cannot run
in a scratch folder says why behind the language, in one of the words of SKIPPED; a block with `ci` holds what
continuous integration runs, line for line.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = {
    "needs-build": "builds the project or changes its sources",
    "needs-hour": "trains a model for long, on a text of the reader's choice",
    "needs-cluster": "is for a cluster's scheduler",
    "needs-peers": "measures beside programs that are not installed here",
}
LARGEST_SKIPPED_SHARE = 0.2
SMALL = {
    "FERULA_MODEL__LAYERS": "1",
    "FERULA_MODEL__WIDTH": "32",
    "FERULA_MODEL__HEADS": "2",
    "FERULA_DATA__SEQUENCE_LENGTH": "16",
    "FERULA_TRAINING__TRAIN_BATCH_SIZE": "8",
    "FERULA_TRAINING__TRAIN_MICRO_BATCH_SIZE_PER_GPU": "2",
    "FERULA_SCHEDULER__PARAMS__WARMUP_NUM_STEPS": "1",
}
MPIRUN_HERE = {  # as root, and more ranks than cores
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    "OMP_NUM_THREADS": "1",
}
STEPS_A_LINE = 2
LONGEST_LINE_S = 120


class Block:
    def __init__(self, page, line, tag):
        self.page, self.line, self.tag, self.text = page, line, tag, []

    def commands(self):
        """Its commands with the line of each; one that ends with a backslash goes on in the next line."""
        found, pending = [], ""
        for number, text in enumerate(self.text, self.line + 1):
            pending += text.strip()
            if pending.endswith("\\"):
                pending = pending[:-1]
            elif pending:
                found.append((number, pending))
                pending = ""
        return found


def blocks_of(source):
    found = []
    for page in [source / "README.md", *sorted((source / "docs").glob("*.md"))]:
        block = None
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            fence = re.match(r"\s*```(.*)", line)
            if block is None and fence:
                language, _, tag = fence[1].strip().partition(" ")
                block = Block(page.relative_to(source), number, tag)
                if language == "sh":
                    found.append(block)
            elif fence:
                block = None
            elif block is not None:
                block.text.append(line)
    return found


def prepare(folder, source, program):
    """What the pages say is there: texts, shipped configurations, `ferula` in PATH and as `build/ferula`."""
    for name in ("corpus", "build", "docs", "bin"):
        (folder / name).mkdir()
    shutil.copytree(source / "configs", folder / "configs")
    shutil.copy(source / "README.md", folder)
    shutil.copy(source / "docs" / "loss_curve.py", folder / "docs")
    text = (source / "docs" / "configuration.md").read_text(encoding="utf-8")
    (folder / "corpus" / "first.txt").write_text(text[:8000], encoding="utf-8")
    (folder / "book.txt").write_text(text, encoding="utf-8")
    (folder / "corpus" / "second.txt").write_text(text[8000:12000], encoding="utf-8")
    for link in ("bin/ferula", "build/ferula"):
        (folder / link).symlink_to(program)


class Reader:
    def __init__(self, folder):
        self.folder, self.steps, self.failures = folder, 0, []
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("FERULA_")} | SMALL | MPIRUN_HERE
        self.environment["PATH"] = f"{folder / 'bin'}:{os.environ['PATH']}"

    def run(self, place, command):
        self.steps += STEPS_A_LINE
        self.environment["FERULA_TRAINING__STEPS"] = str(self.steps)
        print(f"{place}: {command}", flush=True)
        try:
            done = subprocess.run(["sh", "-euc", command], cwd=self.folder, env=self.environment, text=True,
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=LONGEST_LINE_S)
        except subprocess.TimeoutExpired:
            self.failures.append(f"{place}: expected an end within {LONGEST_LINE_S} s: {command}")
            return
        if done.returncode != 0:
            self.failures.append(f"{place}: ended with {done.returncode}: {command}\n{done.stdout}{done.stderr}")


def main():
    source, program = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
    run_by_ci = (source / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    blocks = blocks_of(source)
    skipped = [block for block in blocks if block.tag in SKIPPED]
    with tempfile.TemporaryDirectory(prefix="ferula-docs-") as name:
        reader = Reader(pathlib.Path(name))
        prepare(reader.folder, source, program)
        for block in blocks:
            for line, command in block.commands():
                place = f"{block.page}:{line}"
                if not block.tag:
                    reader.run(place, command)
                elif block.tag == "ci" and command not in run_by_ci:
                    reader.failures.append(f"{place}: expected a line of .ci/run, found: {command}")
                elif block.tag != "ci" and block.tag not in SKIPPED:
                    known = ", ".join(["ci", *SKIPPED])
                    reader.failures.append(f"{place}: expected no tag or one of {known}; found: {block.tag}")
    for block in skipped:
        print(f"{block.page}:{block.line}: not run: {SKIPPED[block.tag]}")
    print(f"{len(blocks)} blocks, {len(skipped)} of them not run here")
    if not blocks or len(skipped) > LARGEST_SKIPPED_SHARE * len(blocks):
        reader.failures.append(f"expected at most {LARGEST_SKIPPED_SHARE:.0%} of the blocks not to run")
    print("\n".join(reader.failures))
    return 1 if reader.failures else 0


if __name__ == "__main__":
    sys.exit(main())
