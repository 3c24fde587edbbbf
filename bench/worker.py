"""The process of one peer: reads a question from each line of standard input and answers on standard output."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time

from bench.harness import LeftOutError, calls_that_fill, spend


def main(module_name: str, peer: str, threads: int) -> None:
    # Whatever a library prints goes to standard error; the answers have the pipe to themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    module = importlib.import_module(module_name)
    call, units, calls = None, 0.0, 0
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if "examine" in question:
                answer = module.examine(peer, question["examine"], threads)
            elif "prepare" in question:
                call = answer = None  # frees the last case before the next is made
                made = module.prepare(peer, question["prepare"], threads)
                if made is not None:
                    call, units = made
                    start = time.perf_counter()
                    call()
                    answer = time.perf_counter() - start
                    calls = calls_that_fill(question["seconds"], call)
            else:
                assert call is not None
                # Wakes threads and caches after the others' turns; a call that fills a turn does so by itself.
                spend(call, max(int(calls > 1), calls // 10))
                answer = [spent / (calls * units) for spent in spend(call, calls)]
        except LeftOutError as reason:
            answer = str(reason)
        made = None
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
