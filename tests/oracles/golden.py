"""Writes golden/<family>.h5: logits, every gradient and a 100-step loss curve of transformers on PyTorch, in f32;
then golden/rules.h5 (rules.py).

    python golden.py            # PyTorch
    python golden.py --deepspeed  # adds the curves of DeepSpeed's stages 0 to 3 on two ranks
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import torch

from families import FAMILIES, TINY, build, optimizer_groups

HERE = Path(__file__).resolve().parent
STEPS, BATCH, LENGTH, BATCHES = 100, 4, 24, 8
OPTIMIZER = dict(lr=3e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, clip=1.0)


def token_batches():
    """Sequences with structure to learn: a noisy walk through the vocabulary."""
    source = np.random.default_rng(7)
    steps = source.integers(1, 4, size=(BATCHES, BATCH, LENGTH + 1))
    return (np.cumsum(steps, axis=-1) % TINY["vocabulary"]).astype(np.int32)


def loss_of(model, tokens):
    tokens = torch.from_numpy(tokens).long()
    logits = model(tokens[:, :-1]).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()), logits


def train(model, batches):
    optimizer = torch.optim.AdamW(optimizer_groups(model, OPTIMIZER["weight_decay"]), lr=OPTIMIZER["lr"],
                                  betas=OPTIMIZER["betas"], eps=OPTIMIZER["eps"])
    losses, norms = [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss, _ = loss_of(model, batches[step % BATCHES])
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), OPTIMIZER["clip"]).item())
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses), np.array(norms)


def deepspeed_curves(family):
    """Losses of DeepSpeed's stages 0 to 3 on two CPU ranks: each rank takes half of every batch."""
    environment = dict(os.environ, DS_ACCELERATOR="cpu", OMP_NUM_THREADS="1")
    curves = []
    for stage in range(4):
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29611",
                   str(HERE / "deepspeed_curve.py"), family, str(stage)]
        out = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        curves.append(json.loads(out.strip().splitlines()[-1])["losses"])
    return np.array(curves)


def write(family, with_deepspeed):
    torch.set_num_threads(1)
    model, names = build(family, seed=11)
    batches = token_batches()
    path = HERE / "golden" / f"{family}.h5"
    path.parent.mkdir(exist_ok=True)
    kept = h5py.File(path)["deepspeed_losses"][...] if path.exists() and not with_deepspeed else None
    loss, logits = loss_of(model, batches[0])
    loss.backward()
    named = dict(model.named_parameters())
    with h5py.File(path, "w") as out:
        for key, value in {**TINY, "kv_heads": 1 if family == "llama" else TINY["heads"]}.items():
            out.attrs[key] = str(value)
        out["tokens"] = batches
        out["logits"] = logits.detach().numpy().reshape(-1, TINY["vocabulary"])
        for name, value in names(lambda n: named[n]).items():
            out[f"weights/{name}"] = value.detach().contiguous().numpy()
        for name, value in names(lambda n: named[n].grad).items():
            out[f"gradients/{name}"] = value.contiguous().numpy()
        losses, norms = train(model, batches)
        out["losses"], out["gradient_norms"] = losses, norms
        curves = deepspeed_curves(family) if with_deepspeed else kept
        if curves is not None:
            out["deepspeed_losses"] = curves
    print(f"{path.name}: loss {losses[0]:.4f} -> {losses[-1]:.4f}, {path.stat().st_size} bytes")
    if with_deepspeed:
        print("  DeepSpeed's largest distance from PyTorch by stage:", np.abs(curves - losses).max(axis=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deepspeed", action="store_true")
    arguments = parser.parse_args()
    for name in FAMILIES:
        write(name, arguments.deepspeed)
    subprocess.run([sys.executable, str(HERE / "rules.py")], check=True)
