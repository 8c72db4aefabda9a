"""The blocks of README.md and docs/ that need a cluster, run under the SLURM of slurm_test.py as a reader runs them.

The reader has the profile of that SLURM in the environment, and small models. What a page leaves to the reader is done
here: JOB is the number of a job that trains, a job ends before the next line is typed, `tail -F` is ended.
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
BEFORE = "config new my.toml --set run.name=my --set 'data.text=[\"corpus/**/*.txt\"]'"  # as README.md does
FOR_LONG = "--set training.steps=1000000"
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
        elif command.startswith("scancel"):
            self.cluster.ends(self.job, "CANCELLED")
        elif found and not is_plain:
            self.job = found[1] or found[2]
            if not command.endswith(FOR_LONG):
                self.cluster.ends(self.job)
        if "my.toml" in command and not command.endswith(FOR_LONG) and self.last_step() < self.steps:
            self.failures.append(f"{place}: expected step {self.steps} of runs/my, found {self.last_step()}: {command}")
        return said

    def last_step(self):
        path = self.folder / "runs" / "my" / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return max((json.loads(line)["step"] for line in lines if line.endswith("}")), default=0)

    def read(self, block):
        is_of_a_job = any(re.search(r"\bJOB\b", line) for line in block.text)
        if is_of_a_job:
            before = self.last_step()
            self.run(f"{block.page}:{block.line}", "ferula submit my.toml " + FOR_LONG)
            self.cluster.wait("a job that trains", lambda: self.last_step() > before)
        super().read(block)
        if is_of_a_job:
            self.steps = self.last_step()


def docs_pages_run(cluster):
    folder = cluster.folder / "reader"
    prepare(folder, cluster.source, cluster.program)
    (folder / "cluster.toml").write_text((cluster.folder / "cluster.toml").read_text())
    reader = ClusterReader(cluster, folder)
    reader.cluster.run("sh", "-c", f"cd reader && {cluster.program} {BEFORE}")
    blocks = [block for block in blocks_of(cluster.source) if "needs-cluster" in block.tags]
    for block in blocks:
        reader.read(block)
    if not blocks or reader.failures:
        raise AssertionError("expected blocks that need a cluster, and each to run:\n" + "\n".join(reader.failures))
