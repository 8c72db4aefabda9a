"""Writes golden/published/: tiny models as transformers saves them, and what it says of a sequence of tokens.

    python published.py

`gpt2`: one file; small enough for the pages of docs/ (docs_commands.py trains everything at this size).
`llama`: three files with an index, grouped keys and values, heads that are wider than width / heads.
Each folder also has tokens.txt and logprobs.txt: ids, and the log-probability of each id but the first.
"""

from pathlib import Path

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

HERE = Path(__file__).resolve().parent / "golden" / "published"
VOCABULARY, CONTEXT = 61, 32


def gpt2():
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=32, n_layer=1, n_head=2,
                                      bos_token_id=0, eos_token_id=0)), {}


def llama():
    config = LlamaConfig(vocab_size=VOCABULARY, hidden_size=24, intermediate_size=40, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=CONTEXT,
                         rms_norm_eps=1e-6, rope_theta=500000.0)
    return LlamaForCausalLM(config), {"max_shard_size": "20KB"}


def write(name, make):
    torch.manual_seed(5)
    model, options = make()
    with torch.no_grad():
        for parameter in model.parameters():  # every tensor matters: norms and biases, too
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.eval().save_pretrained(HERE / name, **options)
    (HERE / name / "generation_config.json").unlink(missing_ok=True)
    tokens = torch.from_numpy(np.random.default_rng(3).integers(0, VOCABULARY, CONTEXT - 1))
    with torch.no_grad():
        logprobs = model.double()(tokens[None]).logits[0].log_softmax(-1)
    picked = logprobs[:-1].gather(1, tokens[1:, None])[:, 0]
    (HERE / name / "tokens.txt").write_text(" ".join(map(str, tokens.tolist())) + "\n")
    (HERE / name / "logprobs.txt").write_text("".join(f"{value:.9f}\n" for value in picked.tolist()))
    print(name, "loss", -picked.mean().item(), sum(file.stat().st_size for file in (HERE / name).iterdir()), "bytes")


if __name__ == "__main__":
    write("gpt2", gpt2)
    write("llama", llama)
