"""The transformers side of the step benchmark: a Llama with scaled-dot-product attention and fused AdamW.

Speaks like tests/bench/step_worker, as bench_torch_step.py does.
"""

import torch
import transformers

from bench_torch_step import serve, step_arguments


class Llama(torch.nn.Module):
    """Answers with the loss, as the GPT-2 of bench_torch_step.py."""

    def __init__(self, chosen):
        super().__init__()
        self.model = transformers.LlamaForCausalLM(transformers.LlamaConfig(
            vocab_size=chosen.vocabulary, hidden_size=chosen.width, intermediate_size=chosen.ffn_width,
            num_hidden_layers=chosen.layers, num_attention_heads=chosen.heads, num_key_value_heads=chosen.kv_heads,
            max_position_embeddings=chosen.context, tie_word_embeddings=True, use_cache=False,
            attn_implementation="sdpa"))

    def forward(self, tokens, targets):
        logits = self.model(input_ids=tokens).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


if __name__ == "__main__":
    chosen = step_arguments(__doc__, layers=30, width=576, heads=9, kv_heads=3, ffn_width=1536, context=2048,
                            vocabulary=49152, batch=4, length=256, threads=2)
    torch.manual_seed(1)
    serve(Llama(chosen), chosen)
