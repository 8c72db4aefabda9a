"""The blocks of README.md and docs/ that need a cluster, run under the SLURM of slurm_test.py as a reader runs them.

The reader has the profile of that SLURM in the environment, and small models, and has written the configurations of
these pages. What a page leaves to the reader is done here: JOB is the number of a job that trains, a job ends before
the next line is typed, `tail -F` is ended.
"""

import json
import re

from docs_blocks import Reader, blocks_of, prepare

HERE = {
    "FERULA_RUN__DEVICE": "cpu",
    "FERULA_SLURM__PROFILE": "./cluster.toml",
    "FERULA_SLURM__NTASKS_PER_NODE": "2",
    "FERULA_SLURM__GPUS_PER_NODE": "2",
    "FERULA_SLURM__CPUS_PER_TASK": "2",
    "FERULA_SLURM__MEM": "1G",
}
WRITES_CONFIG = re.compile(r"(build/)?ferula config new (?!.*(?:--preset|model\.path))")  # of a text alone
MANY_STEPS = "1000000"
TRAINS = re.compile(r"(?:train|submit|train\.sbatch) (\w+)\.toml(?!.*(?:--test-only|--set run\.name|begin=|steps=))")
SUBMITTED = re.compile(r"^job (\d+):|^Submitted batch job (\d+)", re.M)


class ClusterReader(Reader):
    def __init__(self, cluster, folder):
        super().__init__(folder, cluster.environment)
        self.cluster, self.job = cluster, ""
        self.small |= HERE

    def run(self, place, command, code=0, is_plain=False):
        if command.startswith("tail -F"):
            command = f"timeout 2 {command} || test $? = 124"
        if command.startswith("mpirun"):  # the hosts of the page, here as a job has them
            command = f"salloc --nodes=2 --ntasks-per-node=2 {command}"
        said = super().run(place, re.sub(r"\bJOB\b", self.job, command), code, is_plain)
        found = SUBMITTED.search(said)
        if command.startswith(("scancel --signal", "scontrol requeue")):
            self.cluster.wait("the end of a part", lambda: self.cluster.fact(self.job, "JobState") != "RUNNING")
        elif re.match(r"scancel JOB\b", command):
            self.cluster.ends(self.job, "CANCELLED")
        elif found and not is_plain:
            self.job = found[1] or found[2]
            if not (MANY_STEPS in command or "begin=" in command):
                self.cluster.ends(self.job)
        trained = TRAINS.search(command)
        if trained and code == 0 and self.last_step(trained[1]) < self.steps:
            self.failures.append(f"{place}: expected step {self.steps}, found {self.last_step(trained[1])}: {command}")
        return said

    def last_step(self, run):
        path = self.folder / "runs" / run / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return max((json.loads(line)["step"] for line in lines if line.endswith("}")), default=0)

    def read(self, block):
        is_of_a_job = any(re.search(r"\bJOB\b", line) for line in block.text)
        if is_of_a_job:
            before = self.last_step("my")
            self.run(f"{block.page}:{block.line}", f"ferula submit my.toml --set training.steps={MANY_STEPS}")
            self.cluster.wait("a job that trains", lambda: self.last_step("my") > before)
        super().read(block)
        if is_of_a_job:
            self.steps = self.last_step("my")


def docs_pages_run(cluster):
    folder = cluster.folder / "reader"
    prepare(folder, cluster.source, cluster.program)
    (folder / "cluster.toml").write_text((cluster.folder / "cluster.toml").read_text())
    reader = ClusterReader(cluster, folder)
    pages = {block.page for block in blocks_of(cluster.source) if "needs-cluster" in block.tags}
    blocks = []
    for block in blocks_of(cluster.source):
        if "needs-cluster" in block.tags:
            blocks.append(block)
            reader.read(block)
        elif not block.tags and (block.page in pages or str(block.page) == "README.md"):
            for line, command, _ in block.commands():
                if WRITES_CONFIG.match(command):
                    reader.run(f"{block.page}:{line}", command)
    if not blocks or reader.failures:
        raise AssertionError("expected blocks that need a cluster, and each to run:\n" + "\n".join(reader.failures))
