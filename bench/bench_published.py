"""What does a step of a published training cost, with all that belongs to it?

The MLP on California housing of TabM's report (Gorishniy et al., arXiv 2410.24210): 8-208-208-1 with dropout, 45,553
parameters, AdamW, the gradient clipped to a norm of 1, batches of 256, and after each epoch an evaluation of the
validation and the test rows. Its log has 1.855 ms a step on an A100, evaluation and mixed precision included. Random
rows in the place of the real ones, as many: what they hold costs nothing.
"""

from __future__ import annotations

import numpy as np
from bench import peers
from bench.harness import Options, Record, sweep

WIDTHS, BATCH, DROPOUT = [8, 208, 208, 1], 256, 0.17186995074626696
ADAMW = dict(lr=0.0005635553682721966, weight_decay=0.028758690586743314)
ROWS, EVALUATED, EPOCHS = 13_209, 3_303 + 4_128, 4
CASES = {"8-208-208-1, 256": {}, "the same without evaluation": dict(evaluated=False)}

PEERS = {name: peers.PEERS[name] for name in ("whet", "torch", "torch fused")}


def prepare(peer, case, threads):
    task = peers.random_task(WIDTHS, BATCH, ROWS)
    held = peers.random_task(WIDTHS, BATCH, EVALUATED) if case.get("evaluated", True) else None
    steps = -(-ROWS // BATCH) * EPOCHS
    make = whet if peer == "whet" else torch
    return make(task, held, threads, "fused" in peer), steps


def whet(task, held, threads, fused):
    from whet import nn, optim

    first, *hidden, last = task.widths
    model = nn.MLP(first, tuple(hidden), last, dropout=DROPOUT)
    settings = dict(loss=task.loss, optimizer=optim.AdamW(**ADAMW, clip_norm=1.0), batch_size=task.batch, epochs=EPOCHS)
    more = {} if held is None else dict(validation_data=(held.x, held.y))
    return lambda: model.fit(task.x, task.y, **settings, **more)


def torch(task, held, threads, fused):
    import torch

    torch.set_num_threads(threads)
    first, middle, _, last = task.widths
    layers = []
    for before in (first, middle):
        layers += [torch.nn.Linear(before, middle), torch.nn.ReLU(), torch.nn.Dropout(DROPOUT)]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(middle, last))
    optimizer = torch.optim.AdamW(model.parameters(), **ADAMW, fused=fused)
    criterion = torch.nn.MSELoss()
    x, y = torch.from_numpy(task.x), torch.from_numpy(task.y)
    if held is not None:
        held_x, held_y = torch.from_numpy(held.x), torch.from_numpy(held.y)

    def epoch():
        model.train()
        for rows in torch.randperm(len(x)).split(task.batch):
            optimizer.zero_grad(set_to_none=True)
            criterion(model(x.index_select(0, rows)), y.index_select(0, rows)).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        if held is not None:
            model.eval()
            with torch.no_grad():
                assert np.isfinite(criterion(model(held_x), held_y).item())

    return lambda: [epoch() for _ in range(EPOCHS)]


def run(options: Options) -> Record:
    return sweep(__name__, PEERS, CASES, options, unit="microseconds per step", kind="time", scale=1e6)
