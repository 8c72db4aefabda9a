"""The least ratio that is asked of each row, and the aim, where one is set: by what the key of a record begins with."""

ASKED = [
    ("step: GPT-2 bf16 4 x 64 /", 1.3, 1.5), ("step: GPT-2 bf16 4 x 512 /", 1.2, 1.33),
    ("step: GPT-2 bf16 1 x 1024 /", 1.2, None), ("step: GPT-2 f32", 1.2, None), ("llama: ", 1.3, None),
    *((f"stages: {model}2 ranks, stage {stage} / DeepSpeed", 2.0, 2.5) for model in ("", "GPT-2 bf16, ")
      for stage in range(4)),
    *((f"stages: {model}2 ranks, stage {stage} / stage 0", 1 / most, 1 / aim) for model in ("", "GPT-2 bf16, ")
      for stage, most, aim in ((1, 1.03, 1.02), (2, 1.05, 1.03), (3, 1.12, 1.08))),
    ("threads: ", 0.95, None),
    ("optimizer: AdamW sweep / ceiling", 0.9, None), ("optimizer: AdamW with clipping / ceiling", 0.9, None),
    ("collectives: all-reduce 131072 KiB / Open MPI", 6, None),
    ("collectives: all-reduce 131072 KiB, private / Open MPI", 2.3, None),
    ("collectives: all-reduce 131072 KiB, memory / ceiling", 0.9, None),
    ("collectives: reduce-scatter 131072 KiB / Open MPI", 15, None),
    ("collectives: reduce-scatter 131072 KiB, private / Open MPI", 7, None),
    ("collectives: all-gather 131072 KiB, common / Open MPI", 4, None),
    ("collectives: all-gather 131072 KiB, private / Open MPI", 1, None),
    *((f"collectives: {name} {size} /", 1, None) for name in ("all-reduce", "all-gather", "reduce-scatter", "broadcast")
      for size in ("8 B", "1 KiB", "8 KiB", "64 KiB")),
    ("overheads: ", 200, None),
]


def asked_of(key):
    """(least, aim) of a recorded row; None where nothing is asked of it."""
    return next(((least, aim) for start, least, aim in ASKED if key.startswith(start)), (None, None))
