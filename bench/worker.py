"""The process of one peer: reads a question from each line of standard input and answers on standard output."""

from __future__ import annotations

import importlib
import json
import os
import sys

from bench.harness import calls_that_fill, spend


def main(module_name: str, peer: str, threads: int) -> None:
    # Whatever a library prints goes to standard error; the answers have the pipe to themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    module = importlib.import_module(module_name)
    call, units, calls = None, 0.0, 0
    for line in sys.stdin:
        question = json.loads(line)
        if "prepare" in question:
            call = None  # frees the last case before the next is made
            made = module.prepare(peer, question["prepare"], threads)
            answer = made
            if isinstance(made, tuple):
                call, units = made
                call()
                calls = calls_that_fill(question["seconds"], call)
                answer = True
        else:
            assert call is not None
            # Wakes threads and caches after the others' turns; a call that fills a turn does so by itself.
            spend(call, max(int(calls > 1), calls // 10))
            answer = spend(call, calls) / (calls * units)
        made = None
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
