"""The two model families as transformers implements them, with Ferula's names for their tensors."""

import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

TINY = dict(layers=2, width=48, heads=3, ffn_width=96, context=32, vocabulary=61, norm_eps=1e-5)


def gpt2(layers, width, heads, ffn_width, context, vocabulary, norm_eps, **_):
    config = GPT2Config(vocab_size=vocabulary, n_positions=context, n_embd=width, n_layer=layers, n_head=heads,
                        n_inner=ffn_width, activation_function="gelu_new", resid_pdrop=0.0, embd_pdrop=0.0,
                        attn_pdrop=0.0, layer_norm_epsilon=norm_eps, tie_word_embeddings=True)
    return GPT2LMHeadModel(config)


def llama(layers, width, heads, ffn_width, context, vocabulary, norm_eps, kv_heads=1, tied=False, **_):
    config = LlamaConfig(vocab_size=vocabulary, hidden_size=width, intermediate_size=ffn_width,
                         num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv_heads,
                         head_dim=width // heads, max_position_embeddings=context, rms_norm_eps=norm_eps,
                         rope_theta=10000.0, tie_word_embeddings=tied, attention_bias=False, mlp_bias=False)
    return LlamaForCausalLM(config)




def gpt2_tensors(tensors):
    """Ferula's name -> tensor, from a function of the transformers name (a weight or its gradient)."""
    found = {
        "embedding.token.weight": tensors("transformer.wte.weight"),
        "embedding.position.weight": tensors("transformer.wpe.weight"),
        "final_norm.weight": tensors("transformer.ln_f.weight"),
        "final_norm.bias": tensors("transformer.ln_f.bias"),
    }
    for layer in range(TINY["layers"]):
        theirs, ours = f"transformer.h.{layer}.", f"blocks.{layer}."
        for kind in ("weight", "bias"):
            found[f"{ours}attention_norm.{kind}"] = tensors(f"{theirs}ln_1.{kind}")
            found[f"{ours}feed_forward_norm.{kind}"] = tensors(f"{theirs}ln_2.{kind}")
            turned = (lambda t: t.T) if kind == "weight" else (lambda t: t)  # Conv1D stores [in, out]
            fused = turned(tensors(f"{theirs}attn.c_attn.{kind}"))
            for name, part in zip(("query", "key", "value"), fused.chunk(3, dim=0)):
                found[f"{ours}attention.{name}.{kind}"] = part
            found[f"{ours}attention.output.{kind}"] = turned(tensors(f"{theirs}attn.c_proj.{kind}"))
            found[f"{ours}feed_forward.up.{kind}"] = turned(tensors(f"{theirs}mlp.c_fc.{kind}"))
            found[f"{ours}feed_forward.down.{kind}"] = turned(tensors(f"{theirs}mlp.c_proj.{kind}"))
    return found


def llama_tensors(tensors):
    found = {
        "embedding.token.weight": tensors("model.embed_tokens.weight"),
        "final_norm.weight": tensors("model.norm.weight"),
        "head.weight": tensors("lm_head.weight"),
    }
    for layer in range(TINY["layers"]):
        theirs, ours = f"model.layers.{layer}.", f"blocks.{layer}."
        found[f"{ours}attention_norm.weight"] = tensors(f"{theirs}input_layernorm.weight")
        found[f"{ours}feed_forward_norm.weight"] = tensors(f"{theirs}post_attention_layernorm.weight")
        for name, letter in (("query", "q"), ("key", "k"), ("value", "v"), ("output", "o")):
            found[f"{ours}attention.{name}.weight"] = tensors(f"{theirs}self_attn.{letter}_proj.weight")
        for name in ("gate", "up", "down"):
            found[f"{ours}feed_forward.{name}.weight"] = tensors(f"{theirs}mlp.{name}_proj.weight")
    return found


FAMILIES = {"gpt2": (gpt2, gpt2_tensors), "llama": (llama, llama_tensors)}


def build(family, seed):
    """The tiny model of a family with weights that make every gradient large enough to compare."""
    make, names = FAMILIES[family]
    torch.manual_seed(seed)
    model = make(**TINY).float()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.08 * torch.randn_like(parameter))
    return model, names


def optimizer_groups(model, weight_decay):
    """Decay for matrices and embeddings, none for norms and biases."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [{"params": [p for p in parameters if p.dim() >= 2], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0}]
