"""Measures Ferula beside its peers and ceilings, in turns, and prints a table; --json FILE keeps every number.

    bench.py step         a training step of GPT-2 against PyTorch's eager mode
    bench.py stages       two ranks at ZeRO stages 0 to 3 against DeepSpeed on the CPU
    bench.py collectives  shared-memory collectives against Open MPI's
    bench.py optimizer    the AdamW sweep against the streaming ceiling
    bench.py operations   each operation against the ceiling that bounds it
    bench.py all          all of them

Ratios are above 1 where Ferula is the better side: of elapsed time, and of processor time, which hardly moves when
others use the machine.

Peers need tests/oracles/setup.sh DIR and --python DIR/bin/python; without them their rows are left out, or with
--require-peers the program fails.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from report import compare, publish, rows_of_samples
from sides import Side, run_program, take_turns

ORACLES = Path(__file__).resolve().parents[1] / "oracles"
TOY_MODEL = dict(layers=2, width=64, heads=2, context=64, vocabulary=512)
SMALL_MODEL = dict(layers=6, width=384, heads=6, context=256, vocabulary=16384)
GPT2 = dict(layers=12, width=768, heads=12, context=1024, vocabulary=50304)


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


def ferula_side(options, shape, ranks):
    command = [str(options.programs / "bench_step_worker"), *words(shape, "{}={}")]
    if ranks > 1:
        command = mpirun(ranks, command + ["mpi=1"])
    return Side("ferula", [command], [{}])


def torch_side(options, shape, clip=0.0):
    command = [options.python, str(ORACLES / "bench_torch_step.py"), *words(shape, "--{}={}"), f"--clip={clip}"]
    return Side("PyTorch", [command], [{}])


def deepspeed_side(options, shape, ranks):
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


def measure_step(options):
    rows = []
    with_peer = require(options, "torch")
    lengths = (16,) if options.toy else options.lengths
    for dtype in options.dtypes:
        for length in lengths:
            shape = dict(TOY_MODEL if options.toy else GPT2, dtype=dtype, batch=4, length=length, threads=2)
            sides = [ferula_side(options, shape, 1)]
            if with_peer:
                sides.append(torch_side(options, shape))
            answers = take_turns(sides, options.rounds, 1)
            rows += step_rows(f"{dtype} 4 x {length}", answers)
    return rows


def measure_stages(options):
    rows = []
    with_peer = require(options, "torch", "deepspeed")
    for stage in (0, 3) if options.toy else (0, 1, 2, 3):
        shape = dict(TOY_MODEL if options.toy else SMALL_MODEL, dtype="f32", stage=stage, batch=4,
                     length=16 if options.toy else 128, threads=1)
        sides = [ferula_side(options, shape, 2)]
        if with_peer:
            sides.append(deepspeed_side(options, shape, 2))
        rows += step_rows(f"2 ranks, stage {stage}", take_turns(sides, options.rounds, 2))
    return rows


def measure_collectives(options):
    samples = []
    for size in (1 << 16,) if options.toy else (1 << 20, 64 << 20):
        program = [str(options.programs / "bench_collectives"), f"bytes={size}", f"rounds={options.rounds}"]
        samples += run_program(mpirun(2, program), {"OMP_NUM_THREADS": "1"})
    return rows_of_samples(samples)


def measure_optimizer(options):
    toy = ["elements=100000", "ceiling_bytes=4194304"] if options.toy else []
    return rows_of_samples(run_program([str(options.programs / "bench_optimizer_sweep"), f"rounds={options.rounds}",
                                        *toy]))


def measure_operations(options):
    toy = ["toy=1", "only=f32", "arithmetic_rounds=1000", "ceiling_bytes=1048576"] if options.toy else []
    return rows_of_samples(run_program([str(options.programs / "bench_op_table"), f"rounds={options.rounds}", *toy]))


MEASURES = dict(step=measure_step, stages=measure_stages, collectives=measure_collectives,
                optimizer=measure_optimizer, operations=measure_operations)


def options_of_command_line():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*MEASURES, "all"])
    parser.add_argument("--programs", type=Path, default=Path("build/tests/bench"), help="folder of bench_*")
    parser.add_argument("--python", default=sys.executable, help="interpreter with the peers")
    parser.add_argument("--rounds", type=int, default=9, help="measured turns of each side")
    parser.add_argument("--dtypes", nargs="+", default=["bf16", "f32"])
    parser.add_argument("--lengths", nargs="+", type=int, default=[64, 512])
    parser.add_argument("--toy", action="store_true", help="tiny sizes: tests the benchmark, measures nothing")
    parser.add_argument("--require-peers", action="store_true", help="fail where a peer is missing")
    parser.add_argument("--json", help="file for all numbers")
    options = parser.parse_args()
    if options.toy:
        options.rounds = 2
    return options


def main():
    options = options_of_command_line()
    rows = []
    try:
        for name, measure in MEASURES.items():
            if options.what in (name, "all"):
                rows += measure(options)
    except MissingPeer as missing:
        sys.exit(f"bench.py: {missing}")
    publish(rows, options.json)


if __name__ == "__main__":
    main()
