#!/usr/bin/env python3
"""Draws the metrics.jsonl of a run as an SVG, with nothing but Python's own library.

    python3 docs/loss_curve.py RUN/metrics.jsonl docs/loss-curve.svg --line 2.056 "trigram model"
"""

import argparse
import json
import math

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 20, 46
TRAINING, VALIDATION, LINE, INK, GRID = "#4c78a8", "#e45756", "#54a24b", "#333333", "#dddddd"


def read(path):
    """Training losses as (step, loss), and those of validation."""
    with open(path, encoding="utf-8") as file:
        steps = [json.loads(line) for line in file]
    training = [(step["step"], step["loss"]) for step in steps if step["loss"] is not None]
    validation = [(step["step"], step["validation_loss"]) for step in steps if step.get("validation_loss") is not None]
    return training, validation


def nice_step(span, marks):
    """A step of 1, 2 or 5 times a power of ten that gives about `marks` marks."""
    rough = span / marks
    power = 10 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)


class Picture:
    """Data coordinates to SVG elements."""

    def __init__(self, last_step, low, high):
        self.last_step, self.low, self.high = last_step, low, high
        self.parts = []

    def x(self, step):
        return round(LEFT + (WIDTH - LEFT - RIGHT) * step / self.last_step, 1)

    def y(self, loss):
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (self.high - loss) / (self.high - self.low), 1)

    def text(self, x, y, words, anchor="middle", colour=INK):
        self.parts.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}">{words}</text>')

    def stroke(self, x1, y1, x2, y2, colour, extra=""):
        self.parts.append(f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}" {extra}/>')

    def axes(self):
        step = nice_step(self.high - self.low, 7)
        for mark in range(math.ceil(self.low / step), math.floor(self.high / step) + 1):
            height = self.y(mark * step)
            self.stroke(LEFT, height, WIDTH - RIGHT, height, GRID)
            self.text(LEFT - 8, height + 4, f"{mark * step:g}", "end")
        step = nice_step(self.last_step, 7)
        for mark in range(0, math.floor(self.last_step / step) + 1):
            self.text(self.x(mark * step), HEIGHT - BOTTOM + 18, f"{mark * step:g}")
        self.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "optimizer step")
        self.text(LEFT, TOP - 6, "loss in nats per byte", "start")

    def curve(self, points, colour, width):
        path = " ".join(f"{self.x(step)},{self.y(loss)}" for step, loss in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>')

    def dots(self, points, colour):
        self.parts += [f'<circle cx="{self.x(step)}" cy="{self.y(loss)}" r="3.5" fill="{colour}"/>'
                       for step, loss in points]

    def legend(self, entries):
        for row, (words, colour) in enumerate(entries):
            height = TOP + 16 + 18 * row
            self.stroke(WIDTH - 235, height - 4, WIDTH - 213, height - 4, colour, 'stroke-width="3"')
            self.text(WIDTH - 207, height, words, "start")

    def svg(self):
        head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
                f'height="{HEIGHT}" font-family="sans-serif" font-size="12">')
        return "\n".join([head, f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>', *self.parts, "</svg>", ""])


def draw(training, validation, line):
    losses = [loss for _, loss in training + validation] + ([float(line[0])] if line else [])
    picture = Picture(training[-1][0], math.floor(4 * min(losses)) / 4, max(losses))
    picture.axes()
    picture.curve(training, TRAINING, 1)
    entries = [("training, each step", TRAINING)]
    if validation:
        picture.curve(validation, VALIDATION, 1.5)
        picture.dots(validation, VALIDATION)
        entries.append((f"validation, last {validation[-1][1]:.3f}", VALIDATION))
    if line:
        height = picture.y(float(line[0]))
        picture.stroke(LEFT, height, WIDTH - RIGHT, height, LINE, 'stroke-width="1.5" stroke-dasharray="6 4"')
        entries.append((f"{line[1]}, {float(line[0]):.3f}", LINE))
    picture.legend(entries)
    return picture.svg()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("metrics")
    parser.add_argument("svg")
    parser.add_argument("--line", nargs=2, metavar=("LOSS", "NAME"), help="a level to compare with")
    arguments = parser.parse_args()
    with open(arguments.svg, "w", encoding="utf-8") as output:
        output.write(draw(*read(arguments.metrics), arguments.line))
