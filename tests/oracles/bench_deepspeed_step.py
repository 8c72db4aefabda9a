"""DeepSpeed's side of the stages benchmark: one rank of a GPT-2 under ZeRO on the CPU, gloo between the ranks.

Speaks like tests/bench/step_worker on rank 0; the other ranks follow it. RANK, WORLD_SIZE and MASTER_* as torchrun
sets them.
"""

import argparse
import json
import os
import sys
import time

import deepspeed
import torch
import torch.distributed as dist

from bench_torch_step import Gpt2, processor_seconds


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in dict(layers=12, width=768, heads=12, context=1024, vocabulary=50304, batch=4, length=64,
                              threads=1, stage=0).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dtype", choices=("f32", "bf16"), default="f32")
    return parser.parse_args()


def engine_of(chosen):
    torch.manual_seed(1)
    model = Gpt2(chosen.layers, chosen.width, chosen.heads, chosen.context, chosen.vocabulary)
    config = {
        "train_batch_size": chosen.batch * dist.get_world_size(),
        "train_micro_batch_size_per_gpu": chosen.batch,
        "gradient_clipping": 1.0,
        "zero_optimization": {"stage": chosen.stage},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "optimizer": {"type": "AdamW", "params": {"torch_adam": True, "lr": 1e-4, "betas": (0.9, 0.95),
                                                  "weight_decay": 0.1}},
        "bf16": {"enabled": chosen.dtype == "bf16"},
    }
    return deepspeed.initialize(model=model, model_parameters=model.parameters(), config=config)[0]


def train_step(engine, chosen):
    tokens = torch.randint(0, chosen.vocabulary, (chosen.batch, chosen.length + 1))
    loss = engine(tokens[:, :-1], tokens[:, 1:])
    engine.backward(loss)
    engine.step()
    return loss.detach()


def all_ranks(value):
    total = torch.tensor([float(value)], dtype=torch.float64)
    dist.all_reduce(total)
    return total.item()


def requested_steps():
    """Steps that the driver asks rank 0 for; 0 at the end of its input."""
    line = sys.stdin.readline() if dist.get_rank() == 0 else "0"
    return int(all_ranks(int(line or 0)))


def main():
    chosen = arguments()
    torch.set_num_threads(chosen.threads)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # DeepSpeed talks on standard output
    deepspeed.init_distributed(dist_backend="gloo", verbose=False)
    engine = engine_of(chosen)
    speaks = dist.get_rank() == 0
    if speaks:
        print(json.dumps({"parameters": sum(p.numel() for p in engine.module.parameters())}), file=answers)
    while steps := requested_steps():
        for _ in range(steps):
            dist.barrier()
            start, processor = time.perf_counter(), processor_seconds()
            loss = all_ranks(train_step(engine, chosen)) / dist.get_world_size()
            seconds, cpu = time.perf_counter() - start, all_ranks(processor_seconds() - processor)
            if speaks:
                print(json.dumps({"wall_s": seconds, "cpu_s": cpu, "loss": loss}), file=answers)


if __name__ == "__main__":
    main()
