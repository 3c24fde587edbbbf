"""The process of one peer: reads a question from each line of standard input and answers on standard output."""

from __future__ import annotations

import importlib
import json
import os
import sys

from bench.harness import measure


def main(module_name: str, peer: str, threads: int) -> None:
    # Whatever a library prints goes to standard error; the answers have the pipe to themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    module = importlib.import_module(module_name)
    work = None
    for line in sys.stdin:
        question = json.loads(line)
        if "prepare" in question:
            work = None  # frees the last case before the next is made
            work = module.prepare(peer, question["prepare"], threads)
            if work:
                work[0]()
            answer = work is not None
        else:
            assert work is not None
            work[0]()  # wakes threads and caches after the others' turns
            answer = measure(*work, question["measure"])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
