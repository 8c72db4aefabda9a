#!/usr/bin/env python3
"""Fills the marked parts of docs/performance.md and docs/scaling.md and draws docs/roofline.svg from what the benchmarks have recorded:

    python3 tests/bench/bench.py roofline --shapes 4x64 4x512 --json docs/roofline.json
    python3 docs/performance_page.py            # --check: ends with 1 where page or picture are not up to date
"""

import argparse
import json
import math
import re
import statistics
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
BENCH = DOCS.parent / "tests/bench"
sys.path.insert(0, str(BENCH))
from asked import asked_of  # noqa: E402

SMALLEST_SHARE = 0.01  # of a step: less is summed up in a row
TITLES = {"step": "A step of GPT-2 124M", "llama": "A step of SmolLM2's shape", "stages": "Two ranks at each ZeRO stage",
          "threads": "Ranks and threads", "collectives": "Large collectives beside memory", "optimizer": "AdamW",
          "overheads": "Beside the arithmetic"}


def ideal_seconds(operation, step):
    return max(operation["flops"] / step["peak_flops"], operation["bytes"] / step["bandwidth"])


def operations_table(row):
    """Operations of a step in the order of their time."""
    step = row["step"]
    lines = ["| operation | calls | ms | share | FLOP/byte | of its ceiling |", "|---|---|---|---|---|---|"]
    small = dict(calls=0, seconds=0.0)
    for operation in step["operations"]:
        if operation["seconds"] < SMALLEST_SHARE * step["step_s"]:
            small["calls"] += operation["calls"]
            small["seconds"] += operation["seconds"]
            continue
        lines.append(f"| {operation['name']} | {operation['calls']} | {1e3 * operation['seconds']:.1f} | "
                     f"{100 * operation['seconds'] / step['step_s']:.1f} % | "
                     f"{operation['flops'] / operation['bytes']:.1f} | "
                     f"{100 * ideal_seconds(operation, step) / operation['seconds']:.0f} % |")
    rest = step["step_s"] - sum(operation["seconds"] for operation in step["operations"])
    for name, calls, seconds in (("operations below 1 % each", small["calls"], small["seconds"]),
                                 ("outside of operations", "", max(0.0, rest))):
        lines.append(f"| {name} | {calls} | {1e3 * seconds:.1f} | {100 * seconds / step['step_s']:.1f} % | | |")
    return lines


def roofline_part(report):
    lines = []
    for row in report["rows"]:
        step = row["step"]
        achieved = step["model_flops"] / step["step_s"]
        lines += [f"{row['row']}, {1e3 * step['step_s']:.0f} ms a step on {report['machine']['processor']}, commit "
                  f"{report['commit']}: {achieved / 1e9:.0f} of {step['peak_flops'] / 1e9:.0f} GFLOP/s "
                  f"({100 * achieved / step['peak_flops']:.0f} % of the probed peak), {step['bandwidth'] / 1e9:.0f} GB/s.",
                  "", *operations_table(row), ""]
    return lines[:-1]


def verdict(key, row):
    """What is asked of a row and how far it is."""
    least, aim = asked_of(key)
    if least is None:
        return "", ""
    return (f"{least:.3g}" + (f", aim {aim:.3g}" if aim else ""),
            "reached" if row["ratio"] >= least else f"{100 * row['ratio'] / least:.3g} % of it")


def origin(run):
    return f"{run['date']}, {run['commit']}"


def earlier_runs(row):
    return "; ".join(f"{run['ratio']:.3g} ({origin(run)})" for run in row.get("earlier", []))


def rows_table(rows):
    """A line for each row but those of collectives with Open MPI."""
    lines = ["| | ratio (quartiles) | turns | asked | | measured | runs before |", "|---|---|---|---|---|---|---|"]
    seen = None
    for key in sorted(rows, key=lambda key: list(TITLES).index(key.split(":")[0])):
        (part, name), row = key.split(": ", 1), rows[key]
        if part != seen:
            lines.append(f"| **{TITLES[part]}** | | | | | | |")
        seen = part
        asked, reached = verdict(key, row)
        lines.append(f"| {name.replace(' / ', ' against ')} | {row['ratio']:.3g} ({row['quartiles'][0]:.3g} to "
                     f"{row['quartiles'][1]:.3g}) | {row['turns']} | {asked} | {reached} | {origin(row)} | {earlier_runs(row)} |")
    return lines


def collectives_table(rows):
    """Collectives by size: the ratio to Open MPI's, and what is asked where it is not reached."""
    cells, sizes = {}, []
    for key, row in rows.items():
        name, size, memory = re.fullmatch(r"collectives: (\S+) (\d+ \w+)(, .+)? / Open MPI", key).groups()
        if size not in sizes:
            sizes.append(size)
        asked, reached = verdict(key, row)
        missed = f" (asked {asked})" if reached not in ("", "reached") else ""
        cells[name + (memory or ""), size] = f"{row['ratio']:.3g}{missed}"
    sizes.sort(key=lambda size: int(size.split()[0]) * (1024 if "KiB" in size else 1))
    in_words = [f"{int(size.split()[0]) // 1024} MiB" if re.fullmatch(r"\d{4,} KiB", size) else size for size in sizes]
    lines = ["| against Open MPI | " + " | ".join(in_words) + " |", "|---" * (len(sizes) + 1) + "|"]
    for name in sorted({name for name, _ in cells}):
        lines.append(f"| {name} | " + " | ".join(cells.get((name, size), "") for size in sizes) + " |")
    return lines


def recorded_part(recorded):
    lines = []
    for processor, rows in recorded["machines"].items():
        by_size = {key: row for key, row in rows.items() if key.startswith("collectives: ") and "Open MPI" in key}
        others = {key: row for key, row in rows.items() if key.split(":")[0] in TITLES and key not in by_size}
        dates = sorted({row["date"] for row in rows.values()})
        lines += [f"**{processor}**, {' to '.join(dict.fromkeys((dates[0], dates[-1])))}", "", *rows_table(others), ""]
        if by_size:
            apart = [row["apart_ns"] for row in by_size.values() if "apart_ns" in row]
            if apart:
                lines += [f"A word took {min(apart)} to {max(apart)} ns from one rank's core to the other's and back (medians "
                          f"of the rows; of all of them {statistics.median(apart):.0f}).", ""]
            lines += [*collectives_table(by_size), ""]
    return lines[:-1]


def scaling_part(recorded):
    """Forecasts over measured steps, by stage and ranks."""
    lines = []
    for processor, rows in recorded["machines"].items():
        found = {re.fullmatch(r"scaling: (\d+) ranks, stage (\d) / forecast", key).groups(): row
                 for key, row in rows.items() if key.startswith("scaling: ")}
        ranks = sorted({ranks for ranks, _ in found})
        commits = sorted({row["commit"] for row in found.values()})
        lines += [f"Measured and (foreseen) seconds on {processor}, commits {' and '.join(commits)}:", "",
                  "| | " + " | ".join(f"{each} ranks" for each in ranks) + " |", "|---" * (len(ranks) + 1) + "|"]
        for stage in sorted({stage for _, stage in found}):
            cells = [f"{found[each, stage]['ferula']:.3f} ({found[each, stage]['peer']:.3f}, "
                     f"{100 * (found[each, stage]['ratio'] - 1):+.0f} %)" for each in ranks]
            lines.append(f"| stage {stage} | " + " | ".join(cells) + " |")
        lines.append("")
    return lines[:-1]


class Roofline:
    """FLOP a byte to the right, FLOP a second upwards, both in powers of ten."""

    WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 430, 70, 20, 24, 48
    INK, GRID, ROOF, DOT = "#333333", "#dddddd", "#e45756", "#4c78a8"

    def __init__(self, row):
        self.row, self.step = row, row["step"]
        self.shown = [each for each in self.step["operations"]
                      if each["flops"] > 0 and each["seconds"] > SMALLEST_SHARE / 4 * self.step["step_s"]]
        self.x_range = (0.1, 300.0)
        self.y_range = (1e9, 1.6 * self.step["peak_flops"])
        self.parts = []

    def at(self, value, value_range, start, end):
        low, high = (math.log10(each) for each in value_range)
        return round(start + (end - start) * (math.log10(value) - low) / (high - low), 1)

    def x(self, intensity):
        return self.at(intensity, self.x_range, self.LEFT, self.WIDTH - self.RIGHT)

    def y(self, rate):
        return self.at(max(rate, self.y_range[0]), self.y_range, self.HEIGHT - self.BOTTOM, self.TOP)

    def text(self, x, y, words, anchor="middle"):
        self.parts.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{self.INK}">{words}</text>')

    def line(self, x1, y1, x2, y2, colour, width=1):
        self.parts.append(f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}" stroke-width="{width}"/>')

    def axes(self):
        for power in range(9, math.floor(math.log10(self.y_range[1])) + 1):
            self.line(self.LEFT, self.y(10 ** power), self.WIDTH - self.RIGHT, self.y(10 ** power), self.GRID)
            self.text(self.LEFT - 8, self.y(10 ** power) + 4, f"{10 ** (power - 9)}", "end")
        for power in range(-1, 3):
            self.line(self.x(10 ** power), self.TOP, self.x(10 ** power), self.HEIGHT - self.BOTTOM, self.GRID)
            self.text(self.x(10 ** power), self.HEIGHT - self.BOTTOM + 18, f"{10 ** power:g}")
        self.text((self.LEFT + self.WIDTH - self.RIGHT) / 2, self.HEIGHT - 8, "FLOP a byte of the operands")
        self.text(self.LEFT, self.TOP - 8, "GFLOP/s", "start")

    def roof(self):
        peak, bandwidth = self.step["peak_flops"], self.step["bandwidth"]
        ridge = peak / bandwidth
        left = max(self.x_range[0], self.y_range[0] / bandwidth)
        self.line(self.x(left), self.y(left * bandwidth), self.x(ridge), self.y(peak), self.ROOF, 2)
        self.line(self.x(ridge), self.y(peak), self.WIDTH - self.RIGHT, self.y(peak), self.ROOF, 2)
        self.text(self.WIDTH - self.RIGHT, self.y(peak) - 6, f"{peak / 1e9:.0f} GFLOP/s from registers", "end")
        self.text(self.x(0.45), self.y(0.55 * bandwidth) - 14, f"{bandwidth / 1e9:.0f} GB/s", "end")

    def dots(self):
        """As large as the operation's share of the step. The name of one that others hide is in its tooltip alone."""
        labelled = []
        for operation in self.shown:
            x = self.x(operation["flops"] / operation["bytes"])
            y = self.y(operation["flops"] / operation["seconds"])
            share = operation["seconds"] / self.step["step_s"]
            self.parts.append(f'<circle cx="{x}" cy="{y}" r="{3 + 30 * math.sqrt(share) / 2:.1f}" fill="{self.DOT}" '
                              f'fill-opacity="0.45"><title>{operation["name"]}: {1e3 * operation["seconds"]:.1f} ms'
                              f'</title></circle>')
            if all(abs(y - other_y) > 14 or abs(x - other_x) > 170 for other_x, other_y in labelled):
                labelled.append((x, y))
                if x > self.WIDTH - 260:  # no room beside it
                    self.text(x, y + 24, operation["name"])
                else:
                    self.text(x + 14, y + 4, operation["name"], "start")

    def svg(self):
        self.axes()
        self.roof()
        self.dots()
        head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.WIDTH} {self.HEIGHT}" width="{self.WIDTH}" '
                f'height="{self.HEIGHT}" font-family="sans-serif" font-size="12">')
        return "\n".join([head, f'<rect width="{self.WIDTH}" height="{self.HEIGHT}" fill="white"/>', *self.parts,
                          "</svg>", ""])


def filled(page, name, lines):
    """The page with `lines` between the marks of that name."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    assert pattern.search(page), f"the page has no {begin}"
    return pattern.sub(lambda _: "\n".join([begin, *lines, end]), page)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 where something would change")
    check = parser.parse_args().check
    report = json.loads((DOCS / "roofline.json").read_text(encoding="utf-8"))
    recorded = json.loads((BENCH / "recorded.json").read_text(encoding="utf-8"))
    page, scaling = ((DOCS / name).read_text(encoding="utf-8") for name in ("performance.md", "scaling.md"))
    page = filled(page, "operations of a step", roofline_part(report))
    page = filled(page, "recorded ratios", recorded_part(recorded))
    stale = []
    for path, text in ((DOCS / "performance.md", page), (DOCS / "scaling.md", filled(scaling, "scaling", scaling_part(recorded))),
                        (DOCS / "roofline.svg", Roofline(report["rows"][0]).svg())):
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
            if not check:
                path.write_text(text, encoding="utf-8")
    if check and stale:
        sys.exit(f"{' and '.join(stale)}: not up to date; run python3 docs/performance_page.py")


if __name__ == "__main__":
    main()
