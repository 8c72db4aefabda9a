#!/usr/bin/env python3
"""Writes a token file for `[data] tokens` from what the tokenizer of another program has made. Needs h5py.

    token_file.py OUT.h5 IDS...                  each file holds ids with white space between
    token_file.py OUT.h5 --model DIR TEXT...     each text becomes ids by the tokenizer in DIR (needs transformers)

Each file is a document. In a script of your own: write_token_file(path, [ids of a document, ...]).
"""

import argparse
import pathlib

import h5py
import numpy


def write_token_file(path, documents):
    tokens = numpy.concatenate(documents).astype("int32")
    with h5py.File(path, "w") as file:
        file.attrs.update(format="ferula-tokens", format_version=2, tokenizer="ids", vocabulary=int(tokens.max()) + 1)
        file["tokens"] = tokens
        file["document_offsets"] = numpy.cumsum([0] + [len(ids) for ids in documents]).astype("int64")


def tokenized(texts, model):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    return [tokenizer(text)["input_ids"] + end for text in texts]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", metavar="OUT.h5")
    parser.add_argument("--model", metavar="DIR")
    parser.add_argument("files", nargs="+", type=pathlib.Path, metavar="FILE")
    arguments = parser.parse_args()
    texts = [path.read_text(encoding="utf-8") for path in arguments.files]
    documents = tokenized(texts, arguments.model) if arguments.model else [[int(i) for i in t.split()] for t in texts]
    write_token_file(arguments.out, documents)


if __name__ == "__main__":
    main()
