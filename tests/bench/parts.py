"""The parts of the benchmark: what runs beside what, and at which sizes."""

import os
import subprocess
from pathlib import Path

from report import compare, rows_of_samples
from roofline import median_step
from scaling import measure_scaling
from sides import Side, run_program, take_turns

ORACLES = Path(__file__).resolve().parents[1] / "oracles"
TOY_MODEL = dict(layers=2, width=64, heads=2, context=64, vocabulary=512)
SMALL_MODEL = dict(layers=6, width=384, heads=6, context=256, vocabulary=16384)
GPT2 = dict(layers=12, width=768, heads=12, context=1024, vocabulary=50304)
SMOL_LM = dict(layers=30, width=576, heads=9, kv_heads=3, ffn_width=1536, context=2048, vocabulary=49152)
TOY_LLAMA = dict(layers=2, width=64, heads=4, kv_heads=2, ffn_width=128, context=64, vocabulary=512)
LATENCIES = (8, 1 << 10, 8 << 10, 64 << 10)
BANDWIDTHS = (1 << 20, 64 << 20, 128 << 20)


class MissingPeer(Exception):
    pass


def words(shape, form):
    return [form.format(name, value) for name, value in shape.items()]


def has_modules(python, *modules):
    return subprocess.run([python, "-c", f"import {', '.join(modules)}"], capture_output=True).returncode == 0


def require(options, *modules):
    """Whether the peer's modules are there; raises where they must be."""
    if has_modules(options.python, *modules):
        return True
    if options.require_peers:
        raise MissingPeer(f"{options.python} cannot import {' and '.join(modules)}: run {ORACLES}/setup.sh DIR and give "
                          "--python DIR/bin/python")
    print(f"(no peer: {options.python} cannot import {' and '.join(modules)})")
    return False


def mpirun(ranks, command):
    return ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", str(ranks), *command]


def ferula_side(options, shape, ranks, name="ferula"):
    command = [str(options.programs / "bench_step_worker"), *words(shape, "{}={}")]
    if ranks > 1:
        command = mpirun(ranks, command + ["mpi=1"])
    return Side(name, [command], [{}])


def python_side(options, name, script, shape, *more):
    return Side(name, [[options.python, str(ORACLES / script), *words(shape, "--{}={}"), *more]], [{}])


def forget_stale_locks():
    """DeepSpeed waits for ever for a lock that an interrupted build of its extension has left."""
    root = Path(os.environ.get("TORCH_EXTENSIONS_DIR", Path.home() / ".cache/torch_extensions"))
    for lock in root.glob("**/deepspeed_shm_comm/lock"):
        lock.unlink(missing_ok=True)


def deepspeed_side(options, shape, ranks):
    forget_stale_locks()
    command = [options.python, str(ORACLES / "bench_deepspeed_step.py"), *words(shape, "--{}={}")]
    environments = [dict(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(ranks), MASTER_ADDR="127.0.0.1",
                         MASTER_PORT="29617", DS_ACCELERATOR="cpu", OMP_NUM_THREADS=str(shape["threads"]))
                    for rank in range(ranks)]
    return Side("DeepSpeed", [command] * ranks, environments)


def step_rows(name, answers):
    """A row for each peer."""
    peers = {peer: found for peer, found in answers.items() if peer != "ferula"}
    if not peers:
        seconds = sorted(answer["wall_s"] for answer in answers["ferula"])
        print(f"{name}: {seconds[len(seconds) // 2]:.3g} s/step, median of {len(seconds)}; nothing to compare with")
    return [compare(name, "s/step", answers["ferula"], theirs, peer, lambda answer: answer["wall_s"])
            for peer, theirs in peers.items()]


def shapes_of(options):
    return [(2, 16)] if options.toy else [tuple(int(word) for word in shape.split("x")) for shape in options.shapes]


def measure_ceilings(options):
    toy = ["arithmetic_rounds=100000", "ceiling_bytes=4194304", "side=64"] if options.toy else []
    return rows_of_samples(run_program([str(options.programs / "bench_ceilings_check"), f"rounds={options.rounds}",
                                        *toy]))


def measure_step(options):
    rows = []
    with_peer = require(options, "torch")
    for dtype in options.dtypes:
        for batch, length in shapes_of(options):
            shape = dict(TOY_MODEL if options.toy else GPT2, dtype=dtype, batch=batch, length=length, threads=2)
            sides = [ferula_side(options, shape, 1)]
            if with_peer:
                sides.append(python_side(options, "PyTorch", "bench_torch_step.py", shape))
            if with_peer and options.compiled:
                sides.append(python_side(options, "PyTorch compiled", "bench_torch_step.py", shape, "--compiled"))
            rows += step_rows(f"GPT-2 {dtype} {batch} x {length}", take_turns(sides, options.rounds, 1))
    return rows


def measure_llama(options):
    rows = []
    with_peer = require(options, "torch", "transformers")
    for dtype in options.dtypes:
        batch, length = (2, 16) if options.toy else (4, 256)
        shape = dict(TOY_LLAMA if options.toy else SMOL_LM, dtype=dtype, batch=batch, length=length, threads=2)
        sides = [ferula_side(options, dict(shape, family="llama"), 1)]
        if with_peer:
            sides.append(python_side(options, "transformers", "bench_transformers_step.py", shape))
        rows += step_rows(f"Llama 135M {dtype} {batch} x {length}", take_turns(sides, options.rounds, 1))
    return rows


def measure_stages(options):
    """Each stage beside DeepSpeed's and beside our own stage 0: GPT-2 124M in bf16, a small model in f32."""
    rows = []
    with_peer = require(options, "torch", "deepspeed")
    for dtype in ("f32",) if options.toy else options.dtypes:
        name, model = ("GPT-2 bf16, ", GPT2) if dtype == "bf16" else ("", SMALL_MODEL)
        for stage in (0, 3) if options.toy else options.stages:
            shape = dict(TOY_MODEL if options.toy else model, dtype=dtype, stage=stage, batch=2,
                         length=16 if options.toy else 128, threads=1)
            sides = [ferula_side(options, shape, 2)]
            if stage > 0:
                sides.append(ferula_side(options, dict(shape, stage=0), 2, "stage 0"))
            if with_peer:
                sides.append(deepspeed_side(options, shape, 2))
            rows += step_rows(f"{name}2 ranks, stage {stage}", take_turns(sides, options.rounds, 2))
    return rows


def measure_threads(options):
    """The same batch, cut over two ranks, which each update everything or (stage 1) their part, or computed by two
    threads of one."""
    shape = dict(TOY_MODEL if options.toy else SMALL_MODEL, dtype="f32", length=16 if options.toy else 128)
    rows = []
    for stage, name in ((0, "2 ranks x 1 thread"), (1, "2 ranks x 1 thread, stage 1")):
        sides = [ferula_side(options, dict(shape, batch=2, threads=1, stage=stage), 2),
                 ferula_side(options, dict(shape, batch=4, threads=2), 1, "1 rank x 2 threads")]
        rows += step_rows(name, take_turns(sides, options.rounds, 2))
    return rows


def measure_collectives(options):
    samples = []
    for size in (8, 1 << 16) if options.toy else (*LATENCIES, *BANDWIDTHS):
        ceiling = 1 << 20 if options.toy else 130_000_000
        program = [str(options.programs / "bench_collectives"), f"bytes={size}", f"rounds={options.rounds}",
                   f"ceiling_bytes={ceiling if options.toy or size == BANDWIDTHS[-1] else 0}"]
        samples += run_program(mpirun(2, program), {"OMP_NUM_THREADS": "1"})
    return rows_of_samples(samples)


def measure_optimizer(options):
    toy = ["elements=100000", "ceiling_bytes=4194304"] if options.toy else []
    return rows_of_samples(run_program([str(options.programs / "bench_optimizer_sweep"), f"rounds={options.rounds}",
                                        *toy]))


def measure_overheads(options):
    shape = dict(TOY_MODEL if options.toy else SMALL_MODEL, dtype="f32", batch=4, length=16 if options.toy else 128,
                 threads=2)
    return rows_of_samples(run_program([str(options.programs / "bench_overheads"), f"rounds={options.rounds}",
                                        *words(shape, "{}={}")]))


def measure_operations(options):
    toy = ["toy=1", "only=f32", "arithmetic_rounds=1000", "ceiling_bytes=1048576"] if options.toy else []
    return rows_of_samples(run_program([str(options.programs / "bench_op_table"), f"rounds={options.rounds}", *toy]))


def measure_roofline(options):
    """Rows with the operations of a step; their ratio is that of the model's FLOP/s to the probed peak."""
    rows = []
    for dtype in options.dtypes:
        for batch, length in shapes_of(options):
            shape = dict(TOY_MODEL if options.toy else GPT2, dtype=dtype, batch=batch, length=length, threads=2)
            toy = ["arithmetic_rounds=100000", "ceiling_bytes=4194304"] if options.toy else []
            steps = run_program([str(options.programs / "bench_roofline"), f"rounds={options.rounds}",
                                 *words(shape, "{}={}"), *toy])
            ours = [dict(wall_s=step["step_s"], cpu_s=step["step_s"], amount=step["model_flops"]) for step in steps]
            peak = [dict(wall_s=1.0, cpu_s=1.0, amount=step["peak_flops"]) for step in steps]
            row = compare(f"GPT-2 {dtype} {batch} x {length}", "GFLOP/s", ours, peak, "ceiling",
                          lambda sample: 1e-9 * sample["amount"] / sample["wall_s"])
            rows.append(dict(row, shape=shape, step=median_step(steps)))
    return rows


PARTS = dict(ceilings=measure_ceilings, step=measure_step, llama=measure_llama, stages=measure_stages,
             threads=measure_threads, collectives=measure_collectives, optimizer=measure_optimizer,
             overheads=measure_overheads, operations=measure_operations, roofline=measure_roofline,
             scaling=measure_scaling)
