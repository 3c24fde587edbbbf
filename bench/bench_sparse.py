"""How long does a training step on sparse features take, beside the same step on dense ones, PyTorch and scikit-learn?

Rows as texts have them: 0.2 % of 50,000 words each, 20 classes. Cross-entropy and Adam at 1e-3, whole epochs of
shuffled batches from memory. "torch csr" multiplies by a sparse CSR tensor, "torch bag" sums rows of the weight by
EmbeddingBag; both take a fused Adam. scikit-learn is MLPClassifier, and for the linear model SGDClassifier, which
takes a step for each row.
"""

from __future__ import annotations

import warnings

import numpy as np
from bench.harness import Options, Peer, Record, sweep

PEERS = {
    "whet": Peer("whet"),
    "whet dense": Peer("whet"),
    "torch csr": Peer("torch"),
    "torch bag": Peer("torch"),
    "scikit-learn": Peer("sklearn"),
}
CASES: dict[str, Record] = {
    "50,000-64-20, 128": dict(widths=[50_000, 64, 20], batch=128),
    "50,000-64-20, 1024": dict(widths=[50_000, 64, 20], batch=1024),
    "50,000-20, 128": dict(widths=[50_000, 20], batch=128),
    "50,000-512-20, 128": dict(widths=[50_000, 512, 20], batch=128),
    "262,144-64-20, 128": dict(widths=[262_144, 64, 20], batch=128, dense=False),
}
ROWS, ENTRIES, STEPS = 2048, 100, 64  # steps of one call of whet, as their slots are made anew by each


def texts(width: int):
    """Rows with so many words, some of which are far more frequent than others, and a class for each."""
    import scipy.sparse

    rng = np.random.default_rng(0)
    columns = (width * rng.random((ROWS, ENTRIES)) ** 3).astype(np.int32)
    values = rng.random(columns.size, dtype=np.float32)
    x = scipy.sparse.csr_array(
        (values, columns.ravel(), np.arange(ROWS + 1, dtype=np.int32) * ENTRIES), shape=(ROWS, width)
    )
    x.sum_duplicates()
    return x, rng.integers(0, 20, ROWS)


def with_whet(case: Record, dense: bool):
    from whet import nn, optim

    x, y = texts(case["widths"][0])
    first, *hidden, last = case["widths"]
    model, features = nn.MLP(first, hidden, last), x.toarray() if dense else x
    settings = dict(loss="cross_entropy", optimizer=optim.Adam(1e-3), batch_size=case["batch"])
    return lambda: model.fit(features, y, epochs=STEPS * case["batch"] // ROWS, **settings)


def with_torch(case: Record, threads: int, bag: bool):
    import torch

    torch.set_num_threads(threads)
    warnings.filterwarnings("ignore", message="Sparse")
    x, y = texts(case["widths"][0])
    first, *hidden, last = case["widths"]
    wide = hidden[0] if hidden else last
    weight = torch.nn.Parameter(torch.randn(first, wide) / first**0.5)
    bias = torch.nn.Parameter(torch.zeros(wide))
    head = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(wide, last)) if hidden else torch.nn.Identity()
    adam = torch.optim.Adam([weight, bias, *head.parameters()], lr=1e-3, fused=True)
    rng, labels = np.random.default_rng(0), torch.tensor(y)

    def product(rows):
        part = x[rows]
        starts, columns = (torch.tensor(each, dtype=torch.int64) for each in (part.indptr, part.indices))
        values = torch.tensor(part.data)
        if bag:
            return torch.nn.functional.embedding_bag(
                columns, weight, starts[:-1], mode="sum", per_sample_weights=values
            )
        return torch.sparse_csr_tensor(starts, columns, values, (len(rows), first)) @ weight

    def epoch():
        order = rng.permutation(ROWS)
        for start in range(0, ROWS, case["batch"]):
            rows = order[start : start + case["batch"]]
            adam.zero_grad()
            torch.nn.functional.cross_entropy(head(product(rows) + bias), labels[rows]).backward()
            adam.step()

    return epoch


def with_sklearn(case: Record):
    from sklearn.linear_model import SGDClassifier
    from sklearn.neural_network import MLPClassifier

    x, y = texts(case["widths"][0])
    hidden = case["widths"][1:-1]
    model = MLPClassifier(hidden, batch_size=case["batch"]) if hidden else SGDClassifier(loss="log_loss")
    classes = np.arange(case["widths"][-1])
    return lambda: model.partial_fit(x, y, classes=classes)


def prepare(peer, case, threads):
    if peer == "whet dense" and not case.get("dense", True):
        return None
    if peer.startswith("whet"):
        return with_whet(case, dense=peer == "whet dense"), STEPS
    if peer.startswith("torch"):
        return with_torch(case, threads, bag=peer == "torch bag"), ROWS // case["batch"]
    return with_sklearn(case), ROWS // case["batch"]


def run(options: Options) -> Record:
    return sweep(__name__, PEERS, CASES, options, unit="milliseconds per step", kind="time", scale=1e3)
