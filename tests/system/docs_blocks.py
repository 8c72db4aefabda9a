"""The command blocks of README.md and docs/*.md, as a reader runs them; shared by docs_commands.py and tests/slurm.

```sh        every line is a command that ends well
```python    a program that ends well
```console   a line that begins with `$ ` is a command, and what follows is what it writes: any white space stands for
             any other, `…` for any text

Behind the language may stand a tag: a word of NOT_RUN or of ELSEWHERE, `exit-N` (a console's commands end with N), or
`plain` (models as large as the page says; else SMALL makes them small).
"""

import os
import re
import shlex
import shutil
import subprocess
import textwrap

NOT_RUN = {
    "needs-build": "builds the project or changes its sources",
    "needs-hour": "trains a model for long, on a text of the reader's choice",
    "needs-peers": "measures beside programs that are not installed here",
}
ELSEWHERE = {
    "ci": "is a line of .ci/run",
    "needs-cluster": "is run by tests/slurm under a real SLURM",
}
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
LANGUAGES = ("sh", "console", "python")
STEPS_A_LINE = 2
LONGEST_LINE_S = 120
WIDEST_LINE = 118


class Block:
    def __init__(self, page, line, language, tags):
        self.page, self.line, self.language, self.tags, self.text = page, line, language, tags, []

    def has(self, words):
        return any(tag in words for tag in self.tags)

    def unknown_tags(self):
        known = {*NOT_RUN, *ELSEWHERE, "plain"}
        is_code = self.language == "console" and re.compile(r"exit-\d+").fullmatch
        return [tag for tag in self.tags if tag not in known and not (is_code and is_code(tag))]

    def code(self):
        return next((int(tag[5:]) for tag in self.tags if tag.startswith("exit-")), 0)

    def commands(self):
        """(line, command, what it is said to write or None); a command that ends with a backslash goes on below."""
        if self.language == "python":
            return [(self.line, "python3 -c " + shlex.quote("\n".join(self.text)), None)]
        found, pending = [], ""
        for number, text in enumerate(self.text, self.line + 1):
            is_output = self.language == "console" and not pending and not text.startswith("$ ")
            if is_output and found:
                found[-1][2].append(text)
                continue
            pending += text.strip().removeprefix("$ ") if self.language == "console" else text.strip()
            if pending.endswith("\\"):
                pending = pending[:-1]
            elif pending:
                found.append((number, pending, [] if self.language == "console" else None))
                pending = ""
        return found


def pages_of(source):
    return [source / "README.md", *sorted((source / "docs").glob("*.md"))]


def fences_of(source, page):
    """Every fenced block of a page, whatever its language."""
    found, block = [], None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = re.match(r"\s*```(.*)", line)
        if block is None and fence:
            language, *tags = fence[1].split() or [""]
            block = Block(page.relative_to(source), number, language, tags)
            found.append(block)
        elif fence:
            block = None
        elif block is not None:
            block.text.append(line)
    return found


def blocks_of(source):
    return [block for page in pages_of(source) for block in fences_of(source, page)
            if block.language in LANGUAGES]


def words_of(text):
    return " ".join(text.split())


def matches(said, expected):
    """Whether a command wrote what a page says."""
    pieces = [re.escape(words_of(piece)) for piece in "\n".join(expected).split("…")]
    return re.fullmatch(r"\s*" + ".*".join(pieces) + r"\s*", words_of(said), re.DOTALL) is not None


def prepare(folder, source, program):
    """What the pages say is there: texts, shipped configurations, `ferula` in PATH and as `build/ferula`."""
    for name in ("corpus", "build", "docs", "bin"):
        (folder / name).mkdir(parents=True)
    for name in ("configs", "slurm"):
        shutil.copytree(source / name, folder / name)
    shutil.copy(source / "README.md", folder)
    for script in ("loss_curve.py", "token_file.py"):
        shutil.copy(source / "docs" / script, folder / "docs")
    shutil.copytree(source / "tests" / "oracles" / "golden" / "published" / "gpt2", folder / "gpt2")
    (folder / "book.ids").write_text(" ".join(str(number * number % 61) for number in range(4000)))
    text = (source / "docs" / "configuration.md").read_text(encoding="utf-8")
    (folder / "corpus" / "first.txt").write_text(text[:8000], encoding="utf-8")
    (folder / "book.txt").write_text(text, encoding="utf-8")
    (folder / "corpus" / "second.txt").write_text(text[8000:12000], encoding="utf-8")
    for link in ("bin/ferula", "build/ferula"):
        (folder / link).symlink_to(program)
    (folder / "bin" / "python3").symlink_to("/usr/bin/python3")  # Debian's, which has h5py


class Reader:
    """Runs the lines of pages in one folder; each trains a few steps further than the one before."""

    def __init__(self, folder, environment=os.environ):
        self.folder, self.steps, self.failures, self.said = folder, 0, [], {}
        self.plain = {k: v for k, v in environment.items() if not k.startswith("FERULA_")} | MPIRUN_HERE
        self.plain["PATH"] = f"{folder / 'bin'}:{environment['PATH']}"
        self.small = self.plain | SMALL

    def read(self, block):
        for line, command, expected in block.commands():
            said = self.run(f"{block.page}:{line}", command, block.code(), "plain" in block.tags)
            if expected is not None:
                self.said[block.page, line] = (expected, said)
                if not matches(said, expected):
                    told = "\n".join(expected)
                    self.failures.append(f"{block.page}:{line}: expected of {command}:\n{told}\nfound:\n{said}")

    def run(self, place, command, code=0, is_plain=False):
        """What the command wrote."""
        self.steps += STEPS_A_LINE
        environment = self.plain if is_plain else self.small | {"FERULA_TRAINING__STEPS": str(self.steps)}
        print(f"{place}: {command}", flush=True)
        try:
            done = subprocess.run(["sh", "-euc", command], cwd=self.folder, env=environment, text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=LONGEST_LINE_S, check=False)
        except subprocess.TimeoutExpired:
            self.failures.append(f"{place}: expected an end within {LONGEST_LINE_S} s: {command}")
            return ""
        if done.returncode != code:
            self.failures.append(f"{place}: expected an end with {code}, found {done.returncode}: {command}\n"
                                 f"{done.stdout}")
        return done.stdout


def rewrite(source, reader):
    """Puts what the commands have written into the pages, where it differs."""
    for (page, line), (expected, said) in sorted(reader.said.items(), reverse=True):  # lines above stay where they are
        if matches(said, expected):
            continue
        lines = (source / page).read_text(encoding="utf-8").splitlines()
        fresh = [part for text in said.rstrip().splitlines()
                 for part in textwrap.wrap(text.rstrip(), WIDEST_LINE, subsequent_indent="  ",
                                           break_long_words=False, break_on_hyphens=False,
                                           replace_whitespace=False, drop_whitespace=len(text) > WIDEST_LINE) or [""]]
        lines[line:line + len(expected)] = fresh
        (source / page).write_text("\n".join(lines) + "\n", encoding="utf-8")
