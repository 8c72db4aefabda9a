"""Run by golden.py under torch.distributed: one loss curve of DeepSpeed, printed as JSON by rank 0."""

import json
import sys

import deepspeed
import torch
import torch.distributed as dist

from families import build, optimizer_groups
from golden import BATCH, BATCHES, OPTIMIZER, STEPS, loss_of, token_batches


def main():
    family, stage = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(1)
    deepspeed.init_distributed(dist_backend="gloo", verbose=False)
    model, _ = build(family, seed=11)
    groups = optimizer_groups(model, OPTIMIZER["weight_decay"])
    config = {
        "train_batch_size": BATCH,
        "train_micro_batch_size_per_gpu": BATCH // 2,
        "gradient_clipping": OPTIMIZER["clip"],
        "zero_optimization": {"stage": stage},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "optimizer": {"type": "AdamW", "params": {"torch_adam": True, "lr": OPTIMIZER["lr"],
                                                  "betas": OPTIMIZER["betas"], "eps": OPTIMIZER["eps"],
                                                  "weight_decay": OPTIMIZER["weight_decay"]}},
    }
    engine, *_ = deepspeed.initialize(model=model, model_parameters=groups, config=config)
    mine = slice(dist.get_rank() * BATCH // 2, (dist.get_rank() + 1) * BATCH // 2)
    batches, losses = token_batches(), []
    for step in range(STEPS):
        loss, _ = loss_of(engine, batches[step % BATCHES][mine])
        engine.backward(loss)
        engine.step()
        total = loss.detach().clone()
        dist.all_reduce(total)
        losses.append(total.item() / dist.get_world_size())
    if dist.get_rank() == 0:
        print(json.dumps({"losses": losses}), flush=True)


if __name__ == "__main__":
    main()
