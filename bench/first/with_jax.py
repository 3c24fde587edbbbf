import sys

import jax
import jax.numpy as jnp
import numpy as np
from penguins import arrays

BATCH = 32

x, y = arrays(sys.argv[1])
rng = np.random.default_rng(0)
shapes = [(x.shape[1], 64), (64, 3)]
parameters = [(rng.uniform(-(a**-0.5), a**-0.5, (a, b)).astype(np.float32), jnp.zeros(b)) for a, b in shapes]


def forward(parameters, x):
    (w, b), (v, c) = parameters
    return jnp.maximum(x @ w + b, 0) @ v + c


def loss(parameters, x, y):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(forward(parameters, x)), y[:, None], axis=1))


def step(state, x, y):
    parameters, means, squares, count = state
    gradients, count = jax.grad(loss)(parameters, x, y), count + 1
    means = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, means, gradients)
    squares = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, squares, gradients)
    scale = 1e-3 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    parameters = jax.tree.map(lambda p, m, v: p - scale * m / (jnp.sqrt(v) + 1e-8), parameters, means, squares)
    return parameters, means, squares, count


@jax.jit
def epoch(state, x, y, order):
    whole = len(order) // BATCH * BATCH
    batches = order[:whole].reshape(-1, BATCH)
    state, _ = jax.lax.scan(lambda state, rows: (step(state, x[rows], y[rows]), None), state, batches)
    return step(state, x[order[whole:]], y[order[whole:]])


zeros = jax.tree.map(jnp.zeros_like, parameters)
state = parameters, zeros, zeros, jnp.zeros(())
for _ in range(100):
    state = epoch(state, x, y, rng.permutation(len(x)))
print(float(jnp.mean(forward(state[0], x).argmax(axis=1) == y)))
