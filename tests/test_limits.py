"""The loops that benchmarks measure the machine's limits with."""

from __future__ import annotations

import numpy as np
import pytest

from whet import _core


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_loop_of_fmas_counts_its_operations(threads):
    one_round = _core.fma_loop(1, 1)
    assert one_round > 0
    assert _core.fma_loop(threads, 1000) == threads * 1000 * one_round
    assert _core.fma_loop(threads, 0) == 0


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("n", [0, 1, 15, 16, 33, 1000])
def test_the_stream_covers_every_element_once(n, threads):
    p, g, m, v = np.random.default_rng(0).normal(size=(4, n)).astype(np.float32)
    expected = p + ((m + g) + (v + g)), g.copy(), m + g, v + g
    _core.stream(p, g, m, v, threads)
    for given, wanted in zip((p, g, m, v), expected, strict=True):
        np.testing.assert_array_equal(given, wanted)


def test_limits_refuse_what_makes_no_sense():
    x = np.zeros(4, np.float32)
    with pytest.raises(ValueError, match="threads"):
        _core.fma_loop(0, 1)
    with pytest.raises(ValueError, match="rounds"):
        _core.fma_loop(1, -1)
    with pytest.raises(ValueError, match="shape"):
        _core.stream(x, x[:2], x.copy(), x.copy(), 1)
    with pytest.raises(TypeError, match="float32"):
        _core.stream(x, x.astype(np.float64), x.copy(), x.copy(), 1)
