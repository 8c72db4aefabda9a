"""The ratios that were measured on each kind of processor, in a file of the repository; and what got worse since."""

import json
from pathlib import Path

FARTHER = 2.0  # times as far apart: cores that share a cache, those that share a core, and those that share neither
MOST_EARLIER = 4  # runs whose ratios are kept beside the last one's
SMALLEST_MOVE = 0.02  # of a ratio: the same program's medians of two runs differ by that much


def key(row):
    return f"{row['part']}: {row['row']} / {row['peer']}"


def read(path):
    return json.loads(Path(path).read_text(encoding="utf-8")) if Path(path).exists() else {"machines": {}}


def earlier_runs(recorded):
    """The ratios of runs before the next one, oldest first."""
    if recorded is None:
        return []
    last = {name: recorded[name] for name in ("ratio", "commit", "date", "apart_ns") if name in recorded}
    return [*recorded.get("earlier", []), last][-MOST_EARLIER:]


def keep(path, report):
    """Puts the rows of this processor into the file, each with the ratios of runs before; other rows stay."""
    kept = read(path)
    rows = kept["machines"].setdefault(report["machine"]["processor"], {})
    for row in report["rows"]:
        earlier = earlier_runs(rows.get(key(row)))
        rows[key(row)] = {
            "ratio": round(row["elapsed"]["median"], 4), "quartiles": [round(q, 4) for q in row["elapsed"]["quartiles"]],
            "processor_ratio": round(row["processor"]["median"], 4), "turns": row["elapsed"]["count"],
            "ferula": float(f"{row['ferula']['median']:.4g}"), "peer": float(f"{row['theirs']['median']:.4g}"),
            "unit": row["unit"], "commit": report["commit"], "date": report["date"],
            **({"apart_ns": round(row["apart_ns"])} if "apart_ns" in row else {}),
            **({"earlier": earlier} if earlier else {})}
    kept["machines"][report["machine"]["processor"]] = dict(sorted(rows.items()))
    Path(path).write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def spread_of(recorded):
    low, high = recorded["quartiles"]
    return (high - low) / recorded["ratio"]


def is_elsewhere(recorded, row):
    """Whether the cores lay farther apart, or closer, when the row was recorded: other hardware, as good as."""
    if "apart_ns" not in recorded or "apart_ns" not in row:
        return False
    return not 1 / FARTHER <= row["apart_ns"] / recorded["apart_ns"] <= FARTHER


def compared(recorded, row):
    """A row's recorded and new ratio, by what share it moved and by what share it may move."""
    now, before = row["elapsed"]["median"], recorded["ratio"]
    allowed = max(spread_of(recorded), row["elapsed"]["spread"], SMALLEST_MOVE)
    moved = now / before - 1
    verdict = "worse" if moved < -allowed else "better" if moved > allowed else "holds"
    if is_elsewhere(recorded, row):
        verdict = f"cores {row['apart_ns']:.0f} ns apart, were {recorded['apart_ns']:.0f}"
    return {"row": key(row), "before": before, "now": now, "moved": moved, "allowed": allowed, "verdict": verdict}


def check(path, report):
    """Prints each row beside the recorded one; returns a sentence for each that got worse or is new to this processor."""
    recorded = read(path)["machines"].get(report["machine"]["processor"])
    if recorded is None:
        return [f"{path} has nothing of this processor ({report['machine']['processor']}): run with --record first"]
    problems, elsewhere = [], 0
    print(f"\n{'against ' + str(Path(path).name):52} {'recorded':>9} {'now':>9} {'moved':>8} {'spread':>8}")
    for row in report["rows"]:
        if key(row) not in recorded:
            problems.append(f"{key(row)}: nothing recorded on this processor; run with --record")
            continue
        found = compared(recorded[key(row)], row)
        elsewhere += is_elsewhere(recorded[key(row)], row)
        print(f"{found['row'][:52]:52} {found['before']:9.3f} {found['now']:9.3f} {100 * found['moved']:+7.1f}% "
              f"{100 * found['allowed']:7.1f}%  {found['verdict']}")
        if found["verdict"] == "worse":
            problems.append(f"{found['row']}: {found['now']:.3f} where {found['before']:.3f} was recorded by "
                            f"{recorded[found['row']]['commit']}: worse by {-100 * found['moved']:.1f} %, more than its "
                            f"spread of {100 * found['allowed']:.1f} %")
    if elsewhere > 0:
        print(f"{elsewhere} of {len(report['rows'])} rows are not compared: the cores lay elsewhere")
    if report["rows"] and elsewhere == len(report["rows"]):
        problems.append("nothing could be compared: the cores lay elsewhere; measure again, or with --record")
    return problems
