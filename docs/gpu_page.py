#!/usr/bin/env python3
"""Writes docs/gpu.md from the results of tests/gpu.sh: gpu_page.py GPU.json > docs/gpu.md

The JSON is the result of one run, or a list of them, the newest first: of a check's row the newest one counts.
"""

import json
import sys

CHECKS = {
    "operations": "Every operation against the plain reference",
    "device": "Streams, memory and tiny runs",
    "compute": "A GPU's run against the processor's",
    "layouts": "Layouts on staged communicators against one rank",
    "offload": "Optimizer state in the host's memory",
    "nccl": "Process groups over NCCL, several ranks on one GPU",
    "faults": "Process groups that lose a rank",
    "resume": "A run that goes on elsewhere",
    "generate": "Generation",
    "train": "Training speed",
    "timeline": "Where a step's time goes",
    "overlap": "Collectives beside compute, two ranks on one GPU",
    "collectives": "Collectives over NCCL, two ranks on one GPU",
    "memory": "Memory of the GPU that is not counted",
    "peer": "PyTorch on the same GPU",
    "bench": "Operations beside their ceilings",
}

# What no machine with a GPU, with more than one, or with another one, has shown yet.
NEVER_RUN = [
    "Kernels that changed since the runs above: they run on the processor, thread by thread, against the same reference "
    "(tests/emulated_gpu), which says that they are right and nothing of their speed.",
    "Code for compute capabilities 8.0, 8.6 and 8.9 (A100, A5000, RTX 6000 Ada): compiled, not run.",
    "NCCL between GPUs of one node and between nodes: compiled, not run.",
    "The choice of a GPU by node-local rank where a node has several: tested with a fake backend, not run.",
    "The overlap of gather and reduce with compute on several GPUs: not measured.",
]

# What a machine with one GPU shows, by the check that does and a word of its row.
NOT_RUN_YET = {
    ("offload", ""): "Optimizer state in the host's memory (offload_optimizer): tested with a fake device, compiled, "
    "not run.",
    ("faults", "NCCL"): "How a failed process group over NCCL ends the work that waits for it: tested with a fake, not run since "
    "a3e87ee.",
}


def figure(row):
    if row["value"] is None:
        return ""
    value = row["value"]
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{text} {row['unit']}".strip()


def newest(runs):
    """All rows with the number of their run; of those of one name the first."""
    rows = {}
    for number, run in enumerate(runs, 1):
        for row in run["results"]:
            rows.setdefault((row["check"], row["name"]), row | {"run": number})
    return list(rows.values())


def table(rows):
    yield "| what | result | figure | | run |"
    yield "|---|---|---|---|---|"
    for row in rows:
        note = row["note"].replace("|", "/")
        yield f"| {row['name']} | {row['state']} | {figure(row)} | {note} | {row['run']} |"


def page(runs):
    results = newest(runs)
    yield "# What ran on a GPU"
    yield ""
    yield "This page is made by `docs/gpu_page.py` from `docs/gpu.json`, the results of `tests/gpu.sh` on machines with a GPU. The"
    yield "newest result of each row counts; the table of runs says which of them were not whole."
    yield "A ratio to PyTorch is that of the figures of one run. Operations stand beside a copy that moves as many bytes,"
    yield "products beside the best algorithm of cuBLASLt."
    yield ""
    yield "| run | program | GPU | date | |"
    yield "|---|---|---|---|---|"
    for number, run in enumerate(runs, 1):
        note = f"; {run['note']}" if "note" in run else ""
        result = f"{run['seconds']} s, {run['failures']} failed{note}"
        yield f"| {number} | {run['program']} | {run['gpu']} | {run['date']} | {result} |"
    yield ""
    for check, title in CHECKS.items():
        rows = [row for row in results if row["check"] == check]
        yield f"## {title}"
        yield ""
        if rows:
            yield from table(rows)
        else:
            yield "Compiled, not run."
        yield ""
    yield "## Compiled, not run"
    yield ""
    ran = [row for row in results if row["state"] != "skipped"]
    for line in NEVER_RUN:
        yield f"- {line}"
    for (check, word), line in NOT_RUN_YET.items():
        if not any(row["check"] == check and word in row["name"] for row in ran):
            yield f"- {line}"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        recorded = json.load(file)
    print("\n".join(page(recorded if isinstance(recorded, list) else [recorded])))
