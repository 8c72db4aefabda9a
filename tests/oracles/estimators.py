#!/usr/bin/env python3
"""estimators.py FOLDER: what DeepSpeed's and accelerate's estimators print for three models, as golden files.

Written from their documented formulas, apart from the program: parameters are counted from the shapes of Hugging Face's
classes. `estimators.py --check DEEPSPEED_SOURCE` holds the formulas against the functions of a DeepSpeed source tree.
"""

import ast
import pathlib
import sys

# name, family, layers, width, heads, kv heads, ffn width, context, vocabulary, tied, nodes, GPUs a node
MODELS = [
    ("gpt2", "gpt2", 12, 768, 12, 12, 3072, 1024, 50304, True, 1, 4),
    ("llama-7b", "llama", 32, 4096, 32, 8, 14336, 2048, 32000, False, 2, 8),
    ("bytes", "gpt2", 3, 256, 8, 8, 1024, 256, 256, True, 1, 1),
]


def shapes(family, layers, width, heads, kv_heads, ffn, context, vocabulary, tied):
    """[(block or table, [parameters of each module])]; the head of an untied model is called "lm_head"."""
    kv = width // heads * kv_heads
    if family == "gpt2":
        block = [2 * width, width * 3 * width + 3 * width, width * width + width, 2 * width,
                 width * ffn + ffn, ffn * width + width]
        tables = [("wte", [vocabulary * width]), ("wpe", [context * width])]
        norm = [2 * width]
    else:
        block = [width, width * width, width * kv, width * kv, width * width, width, 3 * [width * ffn]]
        block = block[:-1] + block[-1]
        tables = [("embed_tokens", [vocabulary * width])]
        norm = [width]
    parts = tables + [("block", block)] * layers + [("norm", norm)]
    return parts if tied else parts + [("lm_head", [vocabulary * width])]


def zero2(params, nodes, gpus_per_node, offload):
    gpus = nodes * gpus_per_node
    if offload:
        return int(params * max(4 * gpus, 16) * 1.5), 2 * params
    return int(params * 4 * gpus_per_node * 1.5), 2 * params + int(18 * params / gpus)


def zero3(params, largest, nodes, gpus_per_node, offload, offload_params, zero_init):
    gpus, gathered = nodes * gpus_per_node, 4 * largest
    if not offload:
        cpu = (largest if zero_init else params) * 4 * gpus_per_node * 1.5
        return int(cpu), gathered + int(18 * params / gpus)
    state = 18 if offload_params else 16
    cpu = params * (state / nodes if zero_init else max(4 * gpus_per_node, state / nodes)) * 1.5
    return int(cpu), gathered if offload_params else gathered + int(2 * params / gpus)


def setup(nodes, gpus_per_node):
    return ("Estimated memory needed for params, optim states and gradients for a:\n"
            f"HW: Setup with {nodes} {'nodes' if nodes > 1 else 'node'}, "
            f"{gpus_per_node} {'GPUs' if gpus_per_node > 1 else 'GPU'} per node.\n")


def row(memory, options):
    return f" {memory[0] / 2**30:7.2f}GB | {memory[1] / 2**30:6.2f}GB | {options}\n"


def deepspeed(parts, nodes, gpus_per_node):
    params = sum(sum(modules) for _, modules in parts)
    largest = max(max(modules) for _, modules in parts)
    columns = "  per CPU  |  per GPU |   Options\n"
    two = setup(nodes, gpus_per_node) + f"SW: Model with {int(params / 1e6)}M total params.\n" + columns
    for offload in (True, False):
        two += row(zero2(params, nodes, gpus_per_node, offload), f"offload_optimizer={'cpu ' if offload else 'none'}")
    three = (setup(nodes, gpus_per_node) + f"SW: Model with {int(params / 1e6)}M total params, "
             f"{int(largest / 1e6)}M largest layer params.\n" + columns)
    for offload, offload_params in ((True, True), (True, False), (False, False)):
        for zero_init in (True, False):
            three += row(zero3(params, largest, nodes, gpus_per_node, offload, offload_params, zero_init),
                         f"offload_param={'cpu ' if offload_params else 'none'}, "
                         f"offload_optimizer={'cpu ' if offload else 'none'}, zero_init={int(zero_init)}")
    return two, three


def in_words(size):
    for unit in ("bytes", "KB", "MB", "GB", "TB"):
        if size < 1024:
            return f"{round(float(size), 2)} {unit}"
        size /= 1024
    raise ValueError(size)


def accelerate(parts, name):
    body = [part for part in parts if part[0] != "lm_head"]  # AutoModel has no head of its own
    total = 4 * sum(sum(modules) for _, modules in body)
    layer = 4 * max(sum(modules) for _, modules in body)
    rows = [["dtype", "Largest Layer", "Total Size", "Training using Adam"]]
    for dtype, divisor, training in (("float32", 1, 4 * total), ("float16", 2, 2 * total), ("int8", 4, None),
                                     ("int4", 8, None)):
        rows.append([dtype, in_words(layer / divisor), in_words(total / divisor),
                     "N/A" if training is None else in_words(training)])
    title = f"Memory Usage for loading `{name}`"
    widths = [max(len(cells[column]) for cells in rows) for column in range(4)]
    if len(title) > sum(widths):
        widths[-1] += 2 * abs(len(title) - (sum(widths) + 5))

    def rule(left, middle, right):
        return left + middle.join("─" * width for width in widths) + right + "\n"

    text = rule("┌", "─", "┐") + "│" + title.center(sum(widths) + 3) + "│\n" + rule("├", "┬", "┤")
    for number, cells in enumerate(rows):
        text += "│" + "│".join(cell.center(width) for cell, width in zip(cells, widths)) + "│\n"
        text += rule("├", "┼", "┤") if number == 0 else ""
    return text + rule("└", "┴", "┘")


def functions_of(path, name):
    """The function `name` of a file, without what the file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    space = {}
    exec(compile(ast.Module(found, []), str(path), "exec"), space)  # pylint: disable=exec-used
    return space[name]


def check(source):
    folder = pathlib.Path(source) / "deepspeed" / "runtime" / "zero"
    theirs2 = functions_of(folder / "stage_1_and_2.py", "estimate_zero2_model_states_mem_needs")
    theirs3 = functions_of(folder / "stage3.py", "estimate_zero3_model_states_mem_needs")
    compared = 0
    for _, *shape, nodes, gpus in MODELS:
        parts = shapes(*shape)
        params = sum(sum(modules) for _, modules in parts)
        largest = max(max(modules) for _, modules in parts)
        for offload, offload_params in ((True, True), (True, False), (False, False)):
            assert zero2(params, nodes, gpus, offload) == theirs2(params, gpus, nodes, offload)
            for init in (True, False):
                mine = zero3(params, largest, nodes, gpus, offload, offload_params, init)
                assert mine == theirs3(params, largest, gpus, nodes, offload, offload_params, init)[:2]
                compared += 1
    print(f"{compared} cases agree with {source}")


def main():
    if sys.argv[1] == "--check":
        check(sys.argv[2])
        return
    for name, *shape, nodes, gpus_per_node in MODELS:
        parts = shapes(*shape)
        two, three = deepspeed(parts, nodes, gpus_per_node)
        text = f"{two}\n{three}\n{accelerate(parts, name)}"
        (pathlib.Path(sys.argv[1]) / f"{name}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
