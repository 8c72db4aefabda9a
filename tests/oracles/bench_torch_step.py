"""The PyTorch side of the step benchmark: a GPT-2 in eager mode with scaled-dot-product attention and fused AdamW.

Speaks like tests/bench/step_worker: trains as many steps as each line of its input asks for and answers each with one
line of JSON. `--dtype bf16` is autocast over f32 weights, `f32` no autocast.
"""

import argparse
import contextlib
import json
import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.attention_output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        batch, length, width = x.shape
        split = (batch, length, self.heads, width // self.heads)
        query, key, value = (t.view(split).transpose(1, 2) for t in self.qkv(self.attention_norm(x)).split(width, 2))
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.attention_output(attended.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(functional.gelu(self.up(self.feed_forward_norm(x)), approximate="tanh"))


class Gpt2(nn.Module):
    """The layout of nanoGPT: the head is the token embedding, the loss is the mean over all targets."""

    def __init__(self, layers, width, heads, context, vocabulary):
        super().__init__()
        self.token, self.position = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.final_norm = nn.LayerNorm(width)
        for parameter in self.parameters():
            if parameter.dim() >= 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens, targets):
        x = self.token(tokens) + self.position.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = functional.linear(self.final_norm(x), self.token.weight)
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def step_arguments(description, **defaults):
    parser = argparse.ArgumentParser(description=description)
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dtype", choices=("bf16", "f32"), default="bf16")
    parser.add_argument("--clip", type=float, default=0.0, help="clip the gradient norm as well; 0: do not")
    parser.add_argument("--compiled", action="store_true", help="torch.compile instead of eager mode")
    return parser.parse_args()


def processor_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def train_step(model, optimizer, chosen):
    tokens = torch.randint(0, chosen.vocabulary, (chosen.batch, chosen.length + 1))
    with torch.autocast("cpu", torch.bfloat16) if chosen.dtype == "bf16" else contextlib.nullcontext():
        loss = model(tokens[:, :-1], tokens[:, 1:])
    loss.backward()
    if chosen.clip > 0:
        torch.nn.utils.clip_grad_norm_(model.parameters(), chosen.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.item()


def serve(model, chosen):
    """Trains when asked, until the end of the input."""
    torch.set_num_threads(chosen.threads)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    print(json.dumps({"parameters": sum(p.numel() for p in model.parameters())}), flush=True)
    trained = torch.compile(model) if chosen.compiled else model
    for line in sys.stdin:
        for _ in range(int(line)):
            start, processor = time.perf_counter(), processor_seconds()
            loss = train_step(trained, optimizer, chosen)
            print(json.dumps({"wall_s": time.perf_counter() - start, "cpu_s": processor_seconds() - processor,
                              "loss": loss}), flush=True)


def main():
    chosen = step_arguments(__doc__, layers=12, width=768, heads=12, context=1024, vocabulary=50304, batch=4, length=64,
                            threads=2)
    torch.manual_seed(1)
    serve(Gpt2(chosen.layers, chosen.width, chosen.heads, chosen.context, chosen.vocabulary), chosen)


if __name__ == "__main__":
    main()
