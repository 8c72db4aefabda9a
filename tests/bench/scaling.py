"""What `ferula plan --scaling` foresees of more ranks on this machine, from runs of two at stage 0, against their steps.

Ranks beyond the processors share them: the forecast has them take turns, and so do the ranks.
"""

import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

from report import compare

RANKS_HERE = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_NUM_THREADS": "1",
              "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_hwloc_base_binding_policy": "none"}
FIRST_STEPS = 3  # fill caches and scratch memory
WORK = 2  # samples of a rank
CONFIG = """[model]
family = "gpt2"
layers = {layers}
width = {width}
heads = {heads}
context = {length}
vocabulary = {vocabulary}
[data]
text = ["text"]
sequence_length = {length}
validation_fraction = 0.01
[training]
steps = {steps}
evaluate_every = 0
train_micro_batch_size_per_gpu = {work}
gradient_accumulation_steps = 1
[optimizer]
type = "AdamW"
params = {{ lr = 1e-4 }}
[bf16]
enabled = false
[zero_optimization]
overlap_comm = false
[checkpoint]
every_steps = 0
"""
SMALL = dict(layers=6, width=384, heads=6, length=128, vocabulary=16384, steps=13)
TOY = dict(layers=2, width=64, heads=2, length=16, vocabulary=512, steps=5)


class Workplace:
    def __init__(self, folder, ferula, model):
        self.folder, self.ferula = Path(folder), str(ferula.resolve())
        (self.folder / "text").write_text("".join(chr(97 + place * place % 26) for place in range(200_000)))
        (self.folder / "run.toml").write_text(CONFIG.format(work=WORK, **model))

    def run(self, *words):
        found = subprocess.run([self.ferula, *words], cwd=self.folder, capture_output=True, text=True,
                               env=dict(os.environ, **RANKS_HERE))
        if found.returncode != 0:
            raise RuntimeError(f"ferula {' '.join(words)} ended with {found.returncode}: {found.stderr}")
        return found.stdout

    def steps(self, ranks, stage, directory):
        """Seconds of each step but the first ones."""
        name = f"{ranks}-{stage}"
        self.run("train", "run.toml", "--ranks", str(ranks), "--set", f"zero_optimization.stage={stage}", "--set",
                 f"run.name={name}", "--set", f"run.output_dir={directory}")
        lines = (self.folder / directory / name / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["step_seconds"] for line in lines[FIRST_STEPS:]]

    def forecast(self, stage, ranks, directory):
        """Seconds of a step by ranks, from the one run in `directory`."""
        answer = json.loads(self.run("plan", "run.toml", "--ranks", "2", "--scaling", ",".join(map(str, ranks)), "--set",
                                     f"run.output_dir={directory}", "--json"))
        row = next(row for row in answer["rows"] if row["stage"] == stage and row["shard"] == 0)
        return {layout["ranks"]: layout["seconds"] for layout in row["layouts"]}


def samples(seconds):
    return [dict(wall_s=each, cpu_s=each) for each in seconds]


def measured_and_foreseen(workplace, stage, ranks):
    """Seconds of the steps of each number of ranks, and the medians of what runs between them foresee: the machine's
    state changes within minutes."""
    measured, forecasts = {}, []
    for count in ranks:
        calibration = f"calibration-{stage}-{count}"
        workplace.steps(2, 0, calibration)
        forecasts.append(workplace.forecast(stage, ranks, calibration))
        measured[count] = workplace.steps(count, stage, "measured")
    return measured, {count: statistics.median(each[count] for each in forecasts) for count in ranks}


def measure_scaling(options):
    rows = []
    ranks, stages = ((2, 3), (0, 3)) if options.toy else ((2, 3, 4), options.stages)
    with tempfile.TemporaryDirectory() as folder:
        workplace = Workplace(folder, options.ferula, TOY if options.toy else SMALL)
        workplace.steps(2, 0, "dropped")  # the first turn
        for stage in stages:
            measured, foreseen = measured_and_foreseen(workplace, stage, ranks)
            for count in ranks:
                rows.append(compare(f"{count} ranks, stage {stage}", "s/step", samples(measured[count]),
                                    samples([foreseen[count]] * len(measured[count])), "forecast",
                                    lambda sample: sample["wall_s"]))
    return rows
