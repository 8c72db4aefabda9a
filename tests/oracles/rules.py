"""Writes golden/rules.h5: DeepSpeed's learning rates, PyTorch's optimizers and the sampling of transformers.

    python rules.py

What a group's numbers mean stands here and in tests/unit/train/rules_oracle_test.cpp and
tests/unit/generate/sampler_oracle_test.cpp, which read them.
"""

import os
from pathlib import Path

os.environ.update(DS_ACCELERATOR="cpu", RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1",
                  MASTER_PORT="29613")

import deepspeed
import h5py
import numpy as np
import torch
from transformers.generation import logits_process as steps

PATH = Path(__file__).resolve().parent / "golden" / "rules.h5"

# --- learning rates ---------------------------------------------------------------------------------------------------

RATE, RATE_STEPS = 3e-4, 40
WARM_UPS = [1, 2, 3, 10]
# total_num_steps: far beyond the warm-up, reached within the steps, equal to the warm-up, shorter, and one step.
TOTALS = [100, 25, 10, 5, 1]


def scheduler_cases():
    """(type, params as DeepSpeed's JSON has them); a missing key takes DeepSpeed's default."""
    for kind in ("log", "linear"):
        for warmup in WARM_UPS:
            common = dict(warmup_num_steps=warmup, warmup_type=kind)
            yield "WarmupLR", dict(common, warmup_min_lr=1e-5, warmup_max_lr=2e-3)
            for total in TOTALS:
                yield "WarmupDecayLR", dict(common, total_num_steps=total, warmup_min_lr=2e-6, warmup_max_lr=1e-3)
                yield "WarmupCosineLR", dict(common, total_num_steps=total, warmup_min_ratio=0.1, cos_min_ratio=0.01)
    yield "WarmupLR", dict(warmup_num_steps=7)  # the maximum is the optimizer's rate
    yield "WarmupDecayLR", dict(warmup_num_steps=7, total_num_steps=30)  # the maximum is 0.001
    yield "WarmupCosineLR", dict(warmup_num_steps=7, total_num_steps=30)


def engine_rates(scheduler, params):
    """The rate that DeepSpeed's engine has set whenever the optimizer steps."""
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    rates = []
    optimizer.register_step_pre_hook(lambda used, *_: rates.append(used.param_groups[0]["lr"]))
    config = {"train_batch_size": 1, "scheduler": {"type": scheduler, "params": params}}
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
    for _ in range(RATE_STEPS):
        engine.backward(engine(torch.ones(1, 1)).sum())
        engine.step()
    return rates


COLUMNS = ["warmup_num_steps", "total_num_steps", "warmup_type", "warmup_min_lr", "warmup_max_lr", "warmup_min_ratio",
           "cos_min_ratio"]


def row_of(params):
    """The case as numbers in the order of COLUMNS: warmup_type is 1 for log and 0 for linear, an absent key is NaN."""
    numbers = dict(params)
    if "warmup_type" in numbers:
        numbers["warmup_type"] = numbers["warmup_type"] == "log"
    return [float(numbers.get(key, np.nan)) for key in COLUMNS]


def write_rates(out):
    """/rates/TYPE: params [cases, COLUMNS] and rates [cases, RATE_STEPS]."""
    deepspeed.init_distributed(dist_backend="gloo", verbose=False)
    for scheduler in ("WarmupLR", "WarmupDecayLR", "WarmupCosineLR"):
        cases = [params for kind, params in scheduler_cases() if kind == scheduler]
        out[f"rates/{scheduler}/params"] = np.array([row_of(params) for params in cases])
        out[f"rates/{scheduler}/rates"] = np.array([engine_rates(scheduler, params) for params in cases])


# --- optimizers -------------------------------------------------------------------------------------------------------

ELEMENTS, STEPS, CLIP = 67, 100, 1.0
SEEN_STEPS = [1, 2, 3, 10, 50, 100]
TORCH_RULES = {
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, fused=False),
    "adam_l2": lambda p: torch.optim.Adam(p, lr=1e-2, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.05),
    "sgd": lambda p: torch.optim.SGD(p, lr=5e-2),
    "sgd_decay": lambda p: torch.optim.SGD(p, lr=5e-2, weight_decay=0.02),
    "sgd_momentum": lambda p: torch.optim.SGD(p, lr=5e-2, momentum=0.9, weight_decay=0.02),
    "sgd_nesterov": lambda p: torch.optim.SGD(p, lr=5e-2, momentum=0.9, nesterov=True, weight_decay=0.02),
}


def optimizer_inputs():
    """Initial values, and gradients of which about half are longer than CLIP."""
    source = np.random.default_rng(19)
    initial = source.standard_normal(ELEMENTS).astype(np.float32)
    length = source.uniform(0.2, 2.5, size=(STEPS, 1)) / np.sqrt(ELEMENTS)
    drift = 0.5 * source.standard_normal(ELEMENTS)
    return initial, (length * (source.standard_normal((STEPS, ELEMENTS)) + drift)).astype(np.float32)


def torch_values(make, initial, gradients):
    values = torch.nn.Parameter(torch.from_numpy(initial.copy()))
    optimizer = make([values])
    seen = []
    for step, gradient in enumerate(gradients, start=1):
        values.grad = torch.from_numpy(gradient.copy())
        torch.nn.utils.clip_grad_norm_([values], CLIP)
        optimizer.step()
        if step in SEEN_STEPS:
            seen.append(values.detach().numpy().copy())
    return np.array(seen)


def lion_values(initial, gradients, lr=1e-3, beta1=0.9, beta2=0.99, weight_decay=0.1):
    """Algorithm 2 of Chen et al. 2023 in f32; the decay is one factor, as in PyTorch's own optimizers."""
    values, momentum, seen = initial.copy(), np.zeros(ELEMENTS, dtype=np.float32), []
    for step, gradient in enumerate(gradients, start=1):
        gradient = gradient * np.float32(min(1.0, CLIP / (np.linalg.norm(gradient.astype(np.float64)) + 1e-6)))
        direction = np.sign(np.float32(beta1) * momentum + np.float32(1 - beta1) * gradient)
        values = np.float32(1 - lr * weight_decay) * values - np.float32(lr) * direction
        momentum = np.float32(beta2) * momentum + np.float32(1 - beta2) * gradient
        if step in SEEN_STEPS:
            seen.append(values.copy())
    return np.array(seen)


def write_optimizers(out):
    """/optimizers: initial, gradients [STEPS, ELEMENTS] and, for each rule, the values after SEEN_STEPS."""
    initial, gradients = optimizer_inputs()
    out["optimizers/initial"], out["optimizers/gradients"] = initial, gradients
    for name, make in TORCH_RULES.items():
        out[f"optimizers/values/{name}"] = torch_values(make, initial, gradients)
    out["optimizers/values/lion"] = lion_values(initial, gradients)


# --- sampling ---------------------------------------------------------------------------------------------------------

VOCABULARY, ROWS = 61, 6
HISTORY = [3, 17, 17, 42, 60, 0, 5]
# repetition_penalty, temperature, top_k, top_p
SAMPLING = [(1.0, 1.0, 0, 1.0), (1.0, 0.7, 0, 1.0), (1.3, 1.0, 0, 1.0), (0.8, 1.5, 0, 1.0), (1.0, 1.0, 5, 1.0),
            (1.0, 1.0, 1, 1.0), (1.0, 1.0, 61, 1.0), (1.0, 1.0, 0, 0.9), (1.0, 1.0, 0, 0.05), (1.2, 0.8, 10, 0.95),
            (1.2, 1.3, 40, 0.5)]


def sampling_logits():
    """The last row ties on purpose: the fifth place of a top-k of 5 has three holders."""
    logits = (3.0 * np.random.default_rng(23).standard_normal((ROWS, VOCABULARY))).astype(np.float32)
    order = np.argsort(-logits[-1])
    logits[-1, order[4:7]] = logits[-1, order[4]]
    return logits


def distribution(logits, penalty, temperature, top_k, top_p):
    """The processors in the order in which transformers' generate() applies them."""
    processors = steps.LogitsProcessorList()
    if penalty != 1.0:
        processors.append(steps.RepetitionPenaltyLogitsProcessor(penalty))
    if temperature != 1.0:
        processors.append(steps.TemperatureLogitsWarper(temperature))
    if top_k:
        processors.append(steps.TopKLogitsWarper(top_k))
    if top_p < 1.0:
        processors.append(steps.TopPLogitsWarper(top_p))
    history = torch.tensor(HISTORY).expand(len(logits), -1)
    return processors(history, torch.from_numpy(logits).double()).softmax(dim=-1).numpy()


def write_sampling(out):
    """/sampling: logits [ROWS, VOCABULARY], options [cases, 4], probabilities [cases, ROWS, VOCABULARY]."""
    logits = sampling_logits()
    out["sampling/logits"] = logits
    out["sampling/history"] = np.array(HISTORY, dtype=np.int32)
    out["sampling/options"] = np.array(SAMPLING, dtype=np.float64)
    out["sampling/probabilities"] = np.array([distribution(logits, *options) for options in SAMPLING])


if __name__ == "__main__":
    with h5py.File(PATH, "w") as golden:
        write_rates(golden)
        write_optimizers(golden)
        write_sampling(golden)
    print(f"{PATH.name}: {PATH.stat().st_size} bytes")
