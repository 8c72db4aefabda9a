"""Measures Ferula beside its peers and ceilings, in turns, and prints a table; --json FILE keeps every number.

    bench.py ceilings     the ceilings beside what they cannot exceed
    bench.py step         a training step of GPT-2 against PyTorch, eager and with --compiled compiled
    bench.py llama        a training step of SmolLM2's shape against transformers on PyTorch
    bench.py stages       two ranks at ZeRO stages 0 to 3 against stage 0 and against DeepSpeed on the CPU
    bench.py threads      two ranks of one thread against one rank of two threads
    bench.py collectives  shared-memory collectives against Open MPI's and against streaming memory
    bench.py optimizer    the AdamW sweep against the streaming ceiling
    bench.py overheads    a step against what it costs to tokenise its bytes, read its batch and log it
    bench.py operations   each operation against the ceiling that bounds it
    bench.py roofline     where the time of a step goes, operation by operation: docs/performance_page.py shows it
    bench.py scaling      what `ferula plan --scaling` foresees of 2, 3 and 4 ranks against their steps
    bench.py all          all of them

Ratios are above 1 where Ferula is the better side: of elapsed time, and of processor time, which hardly moves when
others use the machine. Ends with 1 where a peer is missing (--require-peers), a ceiling is implausible, or a spread is
too large to conclude anything. --record keeps the ratios of this processor in a file of the repository; --check compares
with them and ends with 1 where one got worse by more than its spread.

Peers need tests/oracles/setup.sh DIR and --python DIR/bin/python; without them their rows are left out, or with
--require-peers the program fails.
"""

import argparse
import sys
from pathlib import Path

import record
from parts import PARTS, MissingPeer
from report import problems_of, publish

RECORD = Path(__file__).resolve().parent / "recorded.json"


def options_of_command_line():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*PARTS, "all"])
    parser.add_argument("--programs", type=Path, default=Path("build/tests/bench"), help="folder of bench_*")
    parser.add_argument("--ferula", type=Path, default=Path("build/ferula"), help="the program, for scaling")
    parser.add_argument("--python", default=sys.executable, help="interpreter with the peers")
    parser.add_argument("--rounds", type=int, default=10, help="measured turns of each side")
    parser.add_argument("--dtypes", nargs="+", default=["bf16", "f32"])
    parser.add_argument("--shapes", nargs="+", default=["4x64", "4x512", "1x1024"], help="sequences x tokens of a step")
    parser.add_argument("--stages", nargs="+", type=int, default=[0, 1, 2, 3])
    parser.add_argument("--compiled", action="store_true", help="measure beside torch.compile, too")
    parser.add_argument("--toy", action="store_true", help="tiny sizes: tests the benchmark, measures nothing")
    parser.add_argument("--require-peers", action="store_true", help="fail where a peer is missing")
    parser.add_argument("--json", help="file for all numbers")
    parser.add_argument("--record", nargs="?", type=Path, const=RECORD, help=f"keep the ratios; default {RECORD.name}")
    parser.add_argument("--check", nargs="?", type=Path, const=RECORD, help="compare with the ratios that were kept")
    options = parser.parse_args()
    if options.toy:
        options.rounds = 2
    return options


def main():
    options = options_of_command_line()
    rows = []
    try:
        for name, measure in PARTS.items():
            if options.what in (name, "all"):
                rows += [dict(row, part=name) for row in measure(options)]
    except MissingPeer as missing:
        sys.exit(f"bench.py: {missing}")
    report = publish(rows, options.json)
    problems = [] if options.toy else problems_of(rows)  # at toy sizes everything fits a cache and nothing lasts
    if options.record:
        record.keep(options.record, report)
    if options.check:
        problems += record.check(options.check, report)
    for problem in problems:
        print(f"bench.py: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
