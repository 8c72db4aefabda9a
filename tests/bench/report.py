"""Medians, spreads and verdicts of what the sides of a benchmark measured, as a table and as JSON."""

import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

LARGEST_SPREAD = 0.25  # of the quartiles around the median; above it a row concludes nothing by itself
# Shares of a bound within which both are believed. Above a ceiling it was none, or the operands fit a cache; cores end
# one or two vectors of multiply-adds in a cycle; streams that a cache holds are faster when they are shorter. A forecast is as good as its bound.
PLAUSIBLE = {"ceiling": (0.0, 1.05), "theoretical peak": (0.45, 1.05), "half the memory": (0.8, 1.25),
             "forecast": (0.9, 1.1)}


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def summary(values):
    low, middle, high = quartiles(values)
    return {"median": middle, "quartiles": [low, high], "range": [min(values), max(values)], "count": len(values),
            "spread": (high - low) / middle if middle else 0.0}


def verdict_on(elapsed, peer):
    """What the ratio of elapsed times, above 1 where Ferula is the better side, lets one conclude."""
    low, high = elapsed["quartiles"]
    if peer in PLAUSIBLE:
        least, most = PLAUSIBLE[peer]
        verdict = "plausible" if least <= elapsed["median"] <= most else "implausible"
    else:
        verdict = "better" if low > 1 else "worse" if high < 1 else "undecided"
    is_clear = verdict in ("better", "worse")
    return verdict if is_clear or elapsed["spread"] <= LARGEST_SPREAD else verdict + ", noisy"


def problems_of(rows):
    """What keeps the rows from showing anything, in sentences; empty where all of them can be believed."""
    problems = []
    for row in rows:
        name, elapsed = f"{row['row']} / {row['peer']}", row["elapsed"]
        if "implausible" in row["verdict"]:
            problems.append(f"{name}: expected a share from {PLAUSIBLE[row['peer']][0]:g} to "
                            f"{PLAUSIBLE[row['peer']][1]:g}, found {elapsed['median']:.2f}: the bound is wrong, or "
                            "something else used the machine")
        if "noisy" in row["verdict"]:
            problems.append(f"{name}: quartiles of {elapsed['quartiles'][0]:.2f} and {elapsed['quartiles'][1]:.2f} are "
                            "too far apart to conclude; measure on a quiet machine, or with more --rounds")
    return problems


def compare(row, unit, ours, theirs, peer, value):
    """A row of the report from paired samples; `value` is what the table shows of a sample."""
    ratios = {}
    for clock in ("wall_s", "cpu_s"):
        per_second = [[sample.get("amount", 1.0) / max(sample[clock], 1e-9) for sample in side]
                      for side in (ours, theirs)]
        ratios[clock] = summary([mine / other for mine, other in zip(*per_second)])
    found = {"row": row, "unit": unit, "ferula": summary([value(sample) for sample in ours]), "peer": peer,
             "theirs": summary([value(sample) for sample in theirs]), "elapsed": ratios["wall_s"],
             "processor": ratios["cpu_s"], "verdict": verdict_on(ratios["wall_s"], peer)}
    apart = [sample["apart_ns"] for sample in ours if "apart_ns" in sample]
    return dict(found, apart_ns=statistics.median(apart)) if apart else found


def rows_of_samples(samples):
    """Rows of rates from the samples of the C++ programs, one side of which is Ferula."""
    found = {}
    for sample in samples:
        found.setdefault((sample["row"], sample["unit"]), {}).setdefault(sample["side"], []).append(sample)
    def value(unit):
        if unit == "step":
            return "s", lambda sample: sample["wall_s"] / sample["amount"]
        return f"G{unit}/s", lambda sample: 1e-9 * sample["amount"] / sample["wall_s"]

    return [compare(row, value(unit)[0], sides["ferula"], theirs, peer, value(unit)[1])
            for (row, unit), sides in found.items() for peer, theirs in sides.items() if peer != "ferula"]


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
                 platform.processor())
    flags = next((line for line in open("/proc/cpuinfo") if line.startswith("flags")), "")
    known = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags.split()]
    return {"processor": f"{model} ({', '.join(known)}), {len(os.sched_getaffinity(0))} threads", "load": open("/proc/loadavg").read().split()[:3]}


def commit():
    found = subprocess.run(["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"],
                           capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


def table(rows):
    lines = [f"{'':44} {'ferula':>10} {'peer':>10} {'elapsed':>8} {'quartiles':>14} {'processor':>10}  verdict"]
    for row in rows:
        low, high = row["elapsed"]["quartiles"]
        lines.append(f"{row['row'][:34]:34} {row['unit']:>9} {row['ferula']['median']:10.4g} "
                     f"{row['theirs']['median']:10.4g} {row['elapsed']['median']:8.2f} {low:5.2f} .. {high:5.2f} "
                     f"{row['processor']['median']:10.2f}  {row['verdict']} ({row['peer']})")
    return "\n".join(lines)


def distances(rows):
    """How far apart the cores were, in words; nothing where no row knows."""
    apart = sorted(row["apart_ns"] for row in rows if "apart_ns" in row)
    return [f"a word takes {apart[0]:.0f} to {apart[-1]:.0f} ns from one core to the other and back"] if apart else []


def publish(rows, path):
    """Prints the rows and returns the report, which also goes to the file `path` where there is one."""
    print("\n".join([table(rows), *distances(rows)]))
    report = {"command": " ".join(sys.argv), "commit": commit(), "machine": machine(),
              "date": datetime.date.today().isoformat(), "rows": rows}
    if path:
        Path(path).write_text(json.dumps(report, indent=1) + "\n")
    return report
