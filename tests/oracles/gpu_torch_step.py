"""PyTorch's speed on this GPU: a GPT-2 in bf16 autocast with flash attention and fused AdamW, eager or compiled.

Prints one number: tokens a second, the median of several groups of steps.
"""

import argparse
import statistics
import time

import torch

from bench_torch_step import Gpt2


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in dict(layers=12, width=768, heads=12, vocabulary=50304, batch=16, length=1024, steps=10,
                              groups=5).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--compile", action="store_true", help="torch.compile the model")
    return parser.parse_args()


def main():
    chosen = arguments()
    torch.manual_seed(1)
    torch.set_float32_matmul_precision("high")
    model = Gpt2(chosen.layers, chosen.width, chosen.heads, chosen.length, chosen.vocabulary).cuda()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    forward = torch.compile(model) if chosen.compile else model
    tokens = torch.randint(0, 256, (chosen.batch, chosen.length + 1), device="cuda")

    def step():
        with torch.autocast("cuda", torch.bfloat16):
            loss = forward(tokens[:, :-1], tokens[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def seconds():
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(chosen.steps):
            step()
        torch.cuda.synchronize()
        return time.perf_counter() - start

    seconds()  # compiles and warms up
    rates = [chosen.steps * chosen.batch * chosen.length / seconds() for _ in range(chosen.groups)]
    print(f"{statistics.median(rates):.0f}")


if __name__ == "__main__":
    main()
