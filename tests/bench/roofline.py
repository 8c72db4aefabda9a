"""The steps of bench_roofline as one: medians of each operation's time, of the step and of the ceilings."""

import statistics


def median_step(steps):
    """Calls, FLOP and bytes of an operation are the same in each step."""
    seconds = {}
    for step in steps:
        for operation in step["operations"]:
            seconds.setdefault(operation["name"], []).append(operation["seconds"])
    operations = [dict(operation, seconds=float(f"{statistics.median(seconds[operation['name']]):.4g}"))
                  for operation in steps[0]["operations"]]
    return {"operations": sorted(operations, key=lambda operation: -operation["seconds"]),
            **{name: float(f"{statistics.median(step[name] for step in steps):.4g}")
               for name in ("step_s", "peak_flops", "bandwidth", "model_flops")}}
