#!/usr/bin/env python3
"""slurm_test.py SOURCE PROGRAM [CASE...]: `ferula submit` and the templates of slurm/ under a real SLURM of two nodes.

Without SLURM's packages, or without the right to start its daemons, it ends with 77 and says so: skipped, not passed.
"""

import json
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

SOURCE, PROGRAM = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
sys.path.append(str(SOURCE / "tests" / "system"))  # docs_blocks.py
from docs_pages import docs_pages_run  # noqa: E402

CLUSTER = SOURCE / "tests" / "slurm" / "cluster.sh"
PATIENCE_S = 180
STEPS = 240  # of 6 ms and more, so that a run is met amid them

TINY = f"""
[run]
device = "cpu"
[model]
layers = 1
width = 64
heads = 2
context = 32
[data]
text = ["text.txt"]
sequence_length = 32
[training]
steps = {STEPS}
train_batch_size = 64
train_micro_batch_size_per_gpu = 2
[optimizer.params]
lr = 1e-4
[checkpoint]
every_steps = 40
"""
TWO_NODES = TINY + """
[slurm]
profile = "./cluster.toml"
nodes = 2
ntasks_per_node = 2
gpus_per_node = 2
cpus_per_task = 2
mem = "1G"
"""
PROFILE = """
default_partition = "defq"
head_nodes = ["*"]
[partition.defq]
nodes = 2
gpus_per_node = 8
cpus_per_node = 64
mem_per_node = "500G"
qos = ["normal", "long"]
[partition.a6000]
nodes = 2
gpus_per_node = 8
cpus_per_node = 64
mem_per_node = "500G"
qos = ["normal-a6000", "preemptive-a6000"]
[qos.normal]
time = "1-00:00:00"
jobs = 30
[qos.long]
time = "7-00:00:00"
[qos.normal-a6000]
time = "1-00:00:00"
gpus = 3
[qos.preemptive-a6000]
preemptible = true
"""


class Cluster:
    """The scratch folder of the test with a SLURM in it."""

    source, program = SOURCE, PROGRAM

    def __init__(self, folder):
        self.folder = folder
        self.slurm = folder / "slurm"
        self.slurm.mkdir()
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("FERULA_", "SLURM_", "OMPI_"))}
        self.environment |= {"SLURM_CONF": str(self.slurm / "slurm.conf"), "OMP_NUM_THREADS": "1",
                             "FERULA": str(PROGRAM), "SHELL": "/bin/sh"}
        for name, text in {"tiny.toml": TINY, "two.toml": TWO_NODES, "cluster.toml": PROFILE}.items():
            (folder / name).write_text(text, encoding="utf-8")
        (folder / "text.txt").write_text("".join(f"Line {n} of a text to learn.\n" for n in range(400)))
        subprocess.run([CLUSTER, "start", self.slurm], check=True)

    def stop(self):
        subprocess.run(["scancel", "--me"], env=self.environment, check=False)
        time.sleep(1)
        subprocess.run([CLUSTER, "stop", self.slurm], check=False)

    def run(self, *words, code=0, **more):
        environment = self.environment | more.pop("environment", {})
        done = subprocess.run([str(word) for word in words], cwd=self.folder, env=environment, text=True,
                              capture_output=True, timeout=PATIENCE_S, check=False, **more)
        expect(code is None or done.returncode == code, f"code {code} of {words}, found {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def ferula(self, *words, **more):
        return self.run(PROGRAM, *words, **more)

    def submit(self, config, name, *words):
        """The number of the job."""
        said = self.ferula("submit", config, "--set", f"run.name={name}", *words)
        found = re.search(r"^job (\d+):", said, re.M)
        expect(found is not None, f"the number of a job, found:\n{said}")
        return found[1]

    def fact(self, job, key):
        said = subprocess.run(["scontrol", "show", "job", "-o", job], env=self.environment, text=True,
                              capture_output=True, check=False).stdout
        found = re.search(rf"\b{key}=(\S+)", said)
        return found[1] if found else ""

    def wait(self, what, holds):
        end = time.monotonic() + PATIENCE_S
        while not holds():
            if time.monotonic() > end:
                raise AssertionError(f"expected within {PATIENCE_S} s: {what}\n{self.logs()}")
            time.sleep(0.1)

    def logs(self):
        return "".join(path.read_text(errors="replace")[-3000:] for path in self.folder.glob("**/slurm-*.out"))

    def ends(self, job, state="COMPLETED"):
        final = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")

        def is_over():
            if self.fact(job, "JobState") not in final:
                return False
            time.sleep(1)  # on its way back to the queue a job may look so for a moment
            return self.fact(job, "JobState") in final

        self.wait(f"the end of job {job}", is_over)
        found = self.fact(job, "JobState")
        expect(found == state, f"{state} of job {job}, found {found}\n{self.logs()}")

    def steps(self, name):
        path = self.folder / "runs" / name / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def comes_to(self, name, step):
        self.wait(f"step {step} of {name}", lambda: len(self.steps(name)) >= step)

    def restarts(self, job, times):
        self.wait(f"restart {times} of job {job}", lambda: self.fact(job, "Restarts").isdigit() and
                  int(self.fact(job, "Restarts")) >= times and self.fact(job, "JobState") == "RUNNING")

    def shards(self, name):
        folder = self.folder / "runs" / name / "checkpoints" / f"step-{STEPS:08d}"
        return sorted(folder.glob("shard-*.h5"))


def expect(holds, what):
    if not holds:
        raise AssertionError("expected " + what)


def numbers(steps):
    return [(each["step"], each["loss"], each["gradient_norm"]) for each in steps]


def two_nodes_train_as_one_rank(cluster):
    alone = cluster.folder / "alone.toml"
    alone.write_text(TINY)
    cluster.ferula("train", "alone.toml", "--set", "run.name=alone")
    job = cluster.submit("two.toml", "whole")
    cluster.ends(job)

    hosts = json.loads((cluster.folder / "runs/whole/summary.json").read_text())["layout"]["ranks"]
    expect(hosts == 4, f"4 ranks, found {hosts}")
    expect("node[1-2]" in (cluster.folder / f"runs/whole/slurm-{job}.out").read_text(), "both nodes in the log")
    one, two = cluster.steps("alone"), cluster.steps("whole")
    expect(len(one) == len(two) == STEPS, f"{STEPS} steps each, found {len(one)} and {len(two)}")
    for a, b in zip(one, two):
        expect(abs(a["loss"] - b["loss"]) <= 1e-5 * abs(a["loss"]) + 1e-6, f"the same loss, found {a} and {b}")
    said = cluster.ferula("status")
    expect(re.search(rf"runs/whole +{job} +{STEPS}/{STEPS}", said), f"the job's progress, found:\n{said}")


def a_run_goes_on_after_signal_and_lost_node(cluster):
    job = cluster.submit("two.toml", "torn")
    cluster.comes_to("torn", 45)
    cluster.run("scancel", "--signal=USR1", job)
    cluster.restarts(job, 1)
    first = len(cluster.steps("torn"))
    cluster.comes_to("torn", min(first + 45, STEPS - 20))
    subprocess.run([CLUSTER, "kill_node", cluster.slurm, "node2"], check=True)
    cluster.wait("the loss of the node", lambda: cluster.fact(job, "JobState") != "RUNNING" or
                 cluster.fact(job, "Restarts") == "2")
    subprocess.run([CLUSTER, "start_node", cluster.slurm, "node2"], check=True)
    cluster.ends(job)

    expect(int(cluster.fact(job, "Restarts")) >= 2, f"two restarts, found {cluster.fact(job, 'Restarts')}")
    expect(numbers(cluster.steps("torn")) == numbers(cluster.steps("whole")), "bit-identical steps")
    pairs = list(zip(cluster.shards("torn"), cluster.shards("whole"), strict=True))
    expect(len(pairs) == 4, f"4 shards each, found {pairs}")
    for torn, whole in pairs:  # values, moments and all: h5diff ends with 1 where a bit differs
        cluster.run("h5diff", torn, whole)


def a_cancelled_job_saves_and_stays_cancelled(cluster):
    job = cluster.submit("two.toml", "stopped", "--set", "training.steps=100000")
    cluster.comes_to("stopped", 10)
    said = cluster.ferula("submit", "two.toml", "--set", "run.name=stopped", code=1)
    expect(f"found job {job}" in said, f"a second job of the run to be refused, found:\n{said}")
    said = cluster.ferula("status", "runs/stopped")
    expect(f"{job}" in said and "running on node[1-2]" in said, f"a running job, found:\n{said}")
    cluster.run("scancel", job)
    cluster.ends(job, "CANCELLED")
    cluster.wait("a summary", lambda: (cluster.folder / "runs/stopped/summary.json").exists())

    restarts, state = cluster.fact(job, "Restarts"), cluster.fact(job, "JobState")
    expect(restarts == "0", f"no restart of a cancelled job, found {restarts!r} and state {state!r}")
    expect((cluster.folder / "runs/stopped/checkpoints/latest").exists(), "a checkpoint of a cancelled job")


def a_time_limit_is_passed(cluster):
    job = cluster.submit("two.toml", "long", "--set", "slurm.nodes=1", "--set", "slurm.time=1:00",
                         "--set", "slurm.signal_before_s=50", "--set", "training.steps=100000")
    cluster.restarts(job, 1)
    before = len(cluster.steps("long"))
    cluster.comes_to("long", before + 5)
    cluster.run("scancel", job)
    cluster.ends(job, "CANCELLED")


def arrays_and_dependencies(cluster):
    small = ["--set", "slurm.nodes=1", "--set", "slurm.ntasks_per_node=1", "--set", "slurm.gpus_per_node=1",
             "--set", "training.steps=20"]
    job = cluster.submit("two.toml", "sweep", *small, "--vary", "optimizer.params.lr=1e-3,1e-2")
    next_job = cluster.submit("two.toml", "next", *small, "--after", "runs/sweep", "--per-rank-log", "logs")
    said = cluster.ferula("status", "runs/sweep", "runs/next")
    expect("a run for each task" in said and "waits for the job that --after names" in said, f"what waits and why, found:\n{said}")
    state = cluster.fact(next_job, "JobState"), cluster.fact(next_job, "Dependency")
    expect(state[0] == "PENDING" and f"afterok:{job}" in state[1], f"a job that waits, found {state}")
    cluster.ends(next_job)

    rates = [cluster.steps(f"sweep-{task}")[-1]["learning_rate"] for task in (0, 1)]
    expect(rates == [1e-3, 1e-2], f"the varied rates, found {rates}")
    expect("step 20/20" in (cluster.folder / "logs/rank-00000.txt").read_text(), "the log of a rank that srun started")
    said = cluster.ferula("status")
    expect(f"{job}_1" in said, f"the tasks of the array, found:\n{said}")


def interactive_steps(cluster):
    said = cluster.ferula("submit", "two.toml", "--allocate",
                          input="srun --mpi=pmix sh -c 'echo rank on $SLURMD_NODENAME'\nexit\n")
    expect(said.count("rank on node1") == 2 and said.count("rank on node2") == 2, f"four ranks, found:\n{said}")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cluster.folder)
        os.execve(PROGRAM, [str(PROGRAM), "submit", "two.toml", "--interactive"], cluster.environment)
    os.write(terminal, b"echo on $SLURMD_NODENAME; exit\n")
    text, end = b"", time.monotonic() + 30
    while b"on node" not in text and time.monotonic() < end:
        if select.select([terminal], [], [], 0.5)[0]:
            try:
                text += os.read(terminal, 4096)
            except OSError:
                break
    os.waitpid(pid, 0)
    expect(b"on node1" in text or b"on node2" in text, f"a shell on a node, found {text}")


def the_doctor_tells_nodes_apart(cluster):
    if subprocess.run(["unshare", "--uts", "--mount", "mount", "-t", "tmpfs", "none", "/proc/driver"],
                      check=False, capture_output=True).returncode != 0:
        print("  (nodes cannot be made to differ: no namespaces here)")
        return
    said = cluster.run("srun", "--nodes=2", "--ntasks-per-node=2", "--mpi=pmix", "--time=10",
                       CLUSTER.with_name("apart.sh"), PROGRAM, "doctor", "two.toml", "--json", code=None)
    report = json.loads(said[said.index("{"):said.rindex("}") + 1])
    expect(report["hosts"] == ["node1", "node2"] and report["ranks"] == 4, f"two nodes, found {report['hosts']}")
    checks = {check["name"]: check for check in report["checks"]}
    differ = {name for name, check in checks.items() if check["hosts_differ"]}
    expect({"gpu-driver-version", "nccl-version", "modules"} <= differ, f"what differs, found {differ}")
    expect("program-version" not in differ and "mpi-library" not in differ, f"one program and MPI, found {differ}")
    well = ("mpi-match", "mpi-pmix", "mpi-one-job", "slurm-reachable", "slurm-job", "slurm-tasks", "slurm-node",
            "shared-directory", "file-locks", "clock-offset", "run-forecast", "rank-placement")
    for name in well:
        found = [finding["found"] for finding in checks[name]["findings"]]
        expect(checks[name]["verdict"] == "ok", f"{name} to be well, found {checks[name]['verdict']}: {found}")
    expect(all("GB/s" in each["found"] for each in checks["speed-link"]["findings"]), "rates between the nodes")


def the_wizard_writes_a_job_that_runs(cluster):
    profile = {"FERULA_SLURM__PROFILE": "./cluster.toml"}
    (cluster.folder / "answers.toml").write_text(
        'machine_type = "multi-CPU"\nnum_processes = 4\nnum_machines = 2\nqos = "long"\nmodel = "custom"\n'
        'layers = 1\nwidth = 32\nheads = 2\ncontext = 32\ntext = "text.txt"\nsteps = 20\nmicro_batch = 2\n')
    said = cluster.ferula("config", "--answers", "answers.toml", "--yes", "--out", "asked.toml", environment=profile)
    expect("  submit it      ferula submit asked.toml\n" in said, f"the command to submit, found:\n{said}")
    cluster.ferula("plan", "asked.toml", "--ranks", "4")
    job = cluster.submit("asked.toml", "asked")
    cluster.ends(job)

    expect(cluster.fact(job, "NumNodes") == "2", f"two nodes, found {cluster.fact(job, 'NumNodes')}")
    expect(len(cluster.steps("asked")) == 20, f"20 steps, found {len(cluster.steps('asked'))}")


def queued(cluster):
    """The numbers of all jobs that wait or run."""
    return set(cluster.run("squeue", "--noheader", "--states=PENDING,RUNNING", "--format=%i").split())


def refused_in_advance(cluster):
    jobs = queued(cluster)
    cases = [
        (["slurm.partition=a6000", "slurm.gpus_per_node=4", "slurm.ntasks_per_node=4", "slurm.nodes=1"], 2,
         "QOS normal-a6000 allows 3 GPUs, you ask 4"),
        (["slurm.partition=defg"], 2, "did you mean 'defq'?"),
        (["slurm.profile=prometeus"], 2, "expected a cluster profile, found 'prometeus'"),
        (["slurm.qos=normal-a6000"], 2, "expected a QOS of partition defq"),
        (["slurm.time=2-00:00:00"], 2, "QOS normal allows 1-00:00:00, you ask 2-00:00:00"),
        (["slurm.nodes=3"], 2, "expected at most the 2 nodes of partition defq"),
        (["training.train_batch_size=7"], 2, "train_batch_size"),
        (["slurm.modules=['nosuch/1.0']"], 1, "tried: module load nosuch/1.0"),
        (["run.output_dir=text.txt/runs"], 1, "set [run] output_dir to a folder that you may write to"),
        (["slurm.profile=", "slurm.partition=nosuch"], 1, "nvalid partition"),
        (["slurm.profile=", "slurm.options=['--constraint=nosuch']"], 1, "Nothing was submitted"),
    ]
    for sets, code, message in cases:
        words = [word for each in sets for word in ("--set", each)]
        said = cluster.ferula("submit", "two.toml", "--set", "run.name=refused", *words, code=code)
        expect(message in said, f"'{message}' for {sets}, found:\n{said}")
    cluster.run("sbatch", "--wait", "--wrap", "exit 3", code=3)
    lost = cluster.run("squeue", "--noheader", "--states=FAILED", "--format=%i").split()[0]
    for after, message in (("99999", "expected a job that SLURM knows"), (lost, "which ended as FAILED")):
        said = cluster.ferula("submit", "two.toml", "--set", "run.name=refused", "--after", after, code=2)
        expect(message in said, f"'{message}' for --after {after}, found:\n{said}")
    said = cluster.ferula("submit", "two.toml", "--set", "run.name=refused", code=1, environment={"PATH": "/nowhere"})
    expect("found no sbatch" in said, f"advice without SLURM, found:\n{said}")
    dead = cluster.folder / "dead.conf"
    dead.write_text(re.sub(r"SlurmctldPort=\d+", "SlurmctldPort=9\nMessageTimeout=2\nMaxDBDMsgs=1",
                           (cluster.slurm / "slurm.conf").read_text()))
    said = cluster.ferula("submit", "two.toml", "--set", "run.name=refused", code=1,
                          environment={"SLURM_CONF": str(dead)})
    expect("Nothing was submitted" in said, f"a controller that does not answer, found:\n{said}")
    said = cluster.ferula("submit", "two.toml", "--set", "run.name=refused", "--test-only")
    expect(re.search(r"Job \d+ to start at", said), f"when the job would start, found:\n{said}")
    said = cluster.ferula("doctor", "two.toml", "--only", "slurm-job")
    expect("login or head node" in said, f"the doctor on a head node, found:\n{said}")
    said = cluster.ferula("train", "two.toml", code=2)
    expect("is a head node of cluster" in said and "now:    srun --partition=defq" in said,
           f"the way into a job, found:\n{said}")
    for words in (("compare", "two.toml"), ("tokenize", "text.txt")):
        said = cluster.ferula(*words, code=2, environment={"FERULA_SLURM__PROFILE": "./cluster.toml"})
        expect(re.search(rf"--ntasks-per-node=1 .*--pty ferula {' '.join(words)}", said),
               f"one task of a job for {words}, found:\n{said}")
    expect(not (cluster.folder / "runs/refused").exists(), "nothing left behind by what was refused")
    more = queued(cluster) - jobs
    expect(not more, f"nothing new in the queue, found jobs {more}")


def a_full_disk_submits_nothing(cluster):
    full = cluster.folder / "full"
    full.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=3", "none", full], check=False).returncode != 0:
        print("  (no full disk: mounting is not allowed here)")
        return
    try:
        (full / "filler").write_bytes(b"x" * 4096)
        said = cluster.ferula("submit", "two.toml", "--set", f"run.output_dir={full}", code=3)
        expect("not one checkpoint fits" in said and "Nothing was submitted" in said,
               f"what to do about a full disk, found:\n{said}")
        said = cluster.ferula("train", "tiny.toml", "--set", f"run.output_dir={full}", code=3)
        expect("output_dir" in said or "free space" in said, f"a run that does not start, found:\n{said}")
    finally:
        subprocess.run(["umount", full], check=True)


def templates_run(cluster):
    templates = sorted(path.name for path in (SOURCE / "slurm").glob("*.sbatch"))
    (cluster.folder / "prompts.jsonl").write_text('{"prompt": "Line 1"}\n')
    few = ["--set", "training.steps=6"]
    words = {
        "train.sbatch": ["tiny.toml", "--set", "run.name=t1", *few],
        "train_nodes.sbatch": ["tiny.toml", "--set", "run.name=t2", *few],
        "array.sbatch": ["seeds", "tiny.toml", *few],
        "generate.sbatch": ["runs/whole", "prompts.jsonl", "--max-new-tokens", "3"],
    }
    expect(templates == sorted(words), f"a case for each template, found {templates}")
    # This host has two processors: as few ranks a node as show the layout.
    fewer = {"train_nodes.sbatch": ["--ntasks-per-node=2", "--gres=gpu:2"], "array.sbatch": ["--array=0-1"]}
    for name in templates:
        job = cluster.run("sbatch", "--parsable", *fewer.get(name, []), SOURCE / "slurm" / name, *words[name]).strip()
        cluster.ends(job)
    expect(len(cluster.steps("t1")) == len(cluster.steps("t2")) == len(cluster.steps("seeds-1")) == 6, "6 steps each")
    expect("text" in (cluster.folder / "runs/whole/texts.jsonl").read_text(), "texts of the prompts")
    if shutil.which("shellcheck"):
        scripts = [*sorted((SOURCE / "slurm").glob("*.sbatch")), *sorted(cluster.folder.glob("runs/*/job.sbatch"))]
        cluster.run("shellcheck", *scripts)


# In this order: later ones look at what `whole`, the first one's run, has left.
CASES = (two_nodes_train_as_one_rank, a_run_goes_on_after_signal_and_lost_node,
         a_cancelled_job_saves_and_stays_cancelled, a_time_limit_is_passed, arrays_and_dependencies,
         interactive_steps, the_doctor_tells_nodes_apart, the_wizard_writes_a_job_that_runs, refused_in_advance,
         a_full_disk_submits_nothing, templates_run, docs_pages_run)


def main():
    missing = [name for name in ("slurmctld", "slurmd", "munged", "sbatch", "srun") if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        reason = f"no {', '.join(missing)}; `env/debian.sh --slurm` installs them" if missing else "only root may"
        print(f"slurm_test.py: SKIPPED, NOTHING WAS TESTED: no SLURM can be started: {reason}")
        return 77
    with tempfile.TemporaryDirectory(prefix="ferula-slurm-", ignore_cleanup_errors=True) as name:
        cluster = Cluster(pathlib.Path(name))
        try:
            for case in CASES:
                if len(sys.argv) > 3 and case.__name__ not in sys.argv[3:]:
                    continue
                begin = time.monotonic()
                case(cluster)
                print(f"{case.__name__}: {time.monotonic() - begin:.0f} s", flush=True)
        finally:
            cluster.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
