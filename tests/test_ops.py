"""whet.ops against the float64 formulas of reference.py, for every entry of the core's lists, in every layout."""

from __future__ import annotations

import numpy as np
import pytest

from tests import reference
from tests.helpers import assert_within, layouts, same_bits
from tests.reference_losses import targets_of
from whet import _core, losses, ops

DTYPES = ["float32", "float64"]
SHAPES = [(0,), (1,), (15,), (16,), (17,), (1003,), (0, 3), (3, 0), (1, 1), (5, 7), (64, 33), (3, 5, 7)]

ACTIVATIONS = {entry["name"]: entry["options"] for entry in _core.activations()}
LOSSES = {entry["name"]: entry["options"] for entry in _core.losses()}
OPTIMIZERS = {entry["name"]: entry for entry in _core.optimizers() if "." not in entry["name"]}


def settings_of(formulas, names):
    """A test parameter for each setting of each listed name; one without a formula fails in the test of the lists."""
    return [
        pytest.param(name, settings, id=f"{name}-{i}")
        for name in names
        if name in formulas
        for i, settings in enumerate(formulas[name].settings)
    ]


every_activation = pytest.mark.parametrize(("name", "settings"), settings_of(reference.ACTIVATIONS, ACTIVATIONS))
every_loss = pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name in LOSSES if name in reference.LOSSES for kind in reference.LOSSES[name].targets],
)
every_loss_setting = pytest.mark.parametrize(
    ("name", "kind", "settings"),
    [
        pytest.param(name, kind, settings, id=f"{name}-{kind}-{i}")
        for name in LOSSES
        if name in reference.LOSSES
        for kind in reference.LOSSES[name].targets
        for i, settings in enumerate(reference.LOSSES[name].settings)
    ],
)
every_optimizer = pytest.mark.parametrize(("name", "settings"), settings_of(reference.OPTIMIZERS, OPTIMIZERS))
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


@pytest.mark.parametrize(
    ("listed", "formulas"),
    [
        (ACTIVATIONS, reference.ACTIVATIONS),
        (LOSSES, reference.LOSSES),
        (OPTIMIZERS, reference.OPTIMIZERS),
    ],
    ids=["activations", "losses", "optimizers"],
)
def test_every_listed_name_has_a_reference_formula(listed, formulas):
    assert len(listed) > 0
    assert sorted(listed) == sorted(formulas)


def numbers(rng, shape, dtype):
    """Numbers of every size, both zeros among them."""
    x = rng.normal(size=shape) * 10.0 ** rng.integers(-3, 3, size=shape)
    x[rng.uniform(size=shape) < 0.05] = 0.0
    x[rng.uniform(size=shape) < 0.05] = -0.0
    return x.astype(dtype)


# Activations


@every_dtype
@every_activation
def test_activation_values(rng, name, settings, dtype):
    formula = reference.ACTIVATIONS[name]
    for shape in SHAPES:
        x = formula.domain(numbers(rng, shape, dtype))
        y = ops.activation(name, x, **settings)
        assert y.dtype == np.dtype(dtype)
        wide = x.astype(np.float64)
        want = formula.value(wide, **settings)
        assert_within(y, want, formula.ulps, formula.scale(wide, want), f"{name} of {shape}")


@every_dtype
@every_activation
def test_activation_derivatives(rng, name, settings, dtype):
    formula = reference.ACTIVATIONS[name]
    for shape in SHAPES:
        x, dy = formula.domain(numbers(rng, shape, dtype)), rng.normal(size=shape).astype(dtype)
        dx = ops.activation_gradient(name, x, dy, **settings)
        assert dx.dtype == np.dtype(dtype)
        wide = x.astype(np.float64)
        slope = formula.derivative(wide, **settings)
        scale = abs(dy) * formula.derivative_scale(wide, slope)
        assert_within(dx, dy * slope, formula.ulps, scale, f"derivative of {name} of {shape}")


@every_dtype
@every_activation
def test_activations_keep_nan_and_take_infinity(name, settings, dtype):
    x = np.array([np.nan, np.inf, 1.0, np.nan] * 9, dtype)
    y = ops.activation(name, x, **settings)
    want = reference.ACTIVATIONS[name].value(np.array([np.inf, 1.0]), **settings)
    assert np.isnan(y[np.isnan(x)]).all()
    np.testing.assert_allclose(y[1:3], want, rtol=1e-6)


@every_dtype
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_give_the_same_bits_in_every_layout(rng, name, dtype):
    x, dy = numbers(rng, (37, 19), dtype), rng.normal(size=(37, 19)).astype(dtype)
    y, dx = ops.activation(name, x), ops.activation_gradient(name, x, dy)
    for layout, form in layouts(x).items():
        assert same_bits(ops.activation(name, form), y), layout
        assert same_bits(ops.activation_gradient(name, form, dy), dx), layout
        assert np.array_equal(form, x), f"{layout}: the input changed"
    for layout, form in layouts(dy).items():
        assert same_bits(ops.activation_gradient(name, x, form), dx), layout


@every_dtype
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_into_a_given_array(rng, name, dtype):
    x = numbers(rng, (9, 31), dtype)
    y, out = ops.activation(name, x), np.full((9, 31), np.nan, dtype)
    assert ops.activation(name, x, out=out) is out
    assert same_bits(out, y)
    assert ops.activation(name, x, out=x) is x  # in place
    assert same_bits(x, y)


# Matrix product


def product_bound(a, b, dtype):
    """What roundoff may do to a b: a chain of K additions, in practice growing with the root of K."""
    terms = abs(a).astype(np.float64) @ abs(b).astype(np.float64)
    return (2 * np.sqrt(a.shape[1]) + 8) * np.finfo(dtype).eps * terms


PRODUCTS = [
    (1, 1, 1), (1, 1, 300), (2, 3, 5), (5, 1, 64), (7, 13, 31), (13, 32, 17), (14, 33, 15), (15, 31, 1), (1, 100, 784),
    (33, 10, 129), (64, 64, 64), (65, 257, 63), (100, 10, 512), (127, 129, 1023), (0, 3, 4), (3, 0, 4), (3, 4, 0),
]  # fmt: skip


@every_dtype
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_matmul(rng, dtype, transpose_a, transpose_b):
    for m, n, k in PRODUCTS:
        a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
        given_a = np.ascontiguousarray(a.T) if transpose_a else a
        given_b = np.ascontiguousarray(b.T) if transpose_b else b
        y = ops.matmul(given_a, given_b, transpose_a=transpose_a, transpose_b=transpose_b)
        assert y.dtype == np.dtype(dtype)
        assert y.shape == (m, n)
        error = abs(y - a.astype(np.float64) @ b.astype(np.float64))
        assert (error <= product_bound(a, b, dtype)).all(), (m, n, k, error.max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("rows", "depth"), [(64, 5), (65, 208), (208, 208), (300, 900), (513, 33), (999, 64)])
def test_a_product_with_its_own_transpose_is_the_same(threads, rng, dtype, rows, depth):
    """Which is mirrored at the diagonal: the same bits as a product with a copy, in every layout and on all threads."""
    for number in (1, 2, 3):
        threads(number)
        wide = rng.normal(size=(rows, depth + 7)).astype(dtype)[:, 3 : depth + 3]
        tall = rng.normal(size=(depth, rows)).astype(dtype)
        for a, transposes in ((wide, {"transpose_b": True}), (tall, {"transpose_a": True})):
            product = ops.matmul(a, a, **transposes)
            assert same_bits(product, ops.matmul(a, a.copy(), **transposes))
            assert same_bits(product, np.ascontiguousarray(product.T))


@every_dtype
@every_activation
def test_matmul_with_bias_and_activation(rng, name, settings, dtype):
    if settings:
        return  # matmul takes an activation by its name, with the defaults
    formula = reference.ACTIVATIONS[name]
    if formula.pole:
        return  # the product's error has no bound there
    for m, n, k in [(1, 1, 1), (17, 33, 9), (40, 10, 65), (3, 5, 0)]:
        a, b, bias = (rng.normal(size=s).astype(dtype) for s in [(m, k), (k, n), (n,)])
        y = ops.matmul(a, b, bias=bias, activation=name)
        x = a.astype(np.float64) @ b.astype(np.float64) + bias
        allowed = 2 * product_bound(a, b, dtype) + 16 * np.finfo(dtype).eps * (abs(x) + abs(bias) + 1)
        steep = np.maximum(abs(formula.derivative(x)), 1)
        assert (abs(y - formula.value(x)) <= allowed * steep).all(), (m, n, k)
        # The fused form is the composition, bit for bit.
        assert same_bits(y, ops.activation(name, ops.matmul(a, b, bias=bias)))


@every_dtype
def test_matmul_gives_the_same_bits_in_every_layout(rng, dtype):
    a, b, bias = (rng.normal(size=s).astype(dtype) for s in [(37, 41), (41, 23), (23,)])
    y = ops.matmul(a, b, bias=bias)
    for layout, form in layouts(a).items():
        assert same_bits(ops.matmul(form, b, bias=bias), y), f"a {layout}"
    for layout, form in layouts(b).items():
        assert same_bits(ops.matmul(a, form, bias=bias), y), f"b {layout}"
    for layout, form in layouts(bias).items():
        assert same_bits(ops.matmul(a, b, bias=form), y), f"bias {layout}"
    assert same_bits(ops.matmul(a.T, b, transpose_a=True, bias=bias), y)
    assert same_bits(ops.matmul(a, b.T, transpose_b=True, bias=bias), y)


@every_dtype
def test_a_row_of_a_product_does_not_depend_on_the_others(rng, dtype):
    a, b = rng.normal(size=(531, 97)).astype(dtype), rng.normal(size=(97, 45)).astype(dtype)
    y = ops.matmul(a, b)
    for rows in [slice(0, 1), slice(1, 15), slice(200, 457), slice(530, 531)]:
        assert same_bits(ops.matmul(a[rows], b), y[rows])
    for columns in [slice(0, 1), slice(3, 36), slice(44, 45)]:
        assert same_bits(ops.matmul(a, b[:, columns]), np.ascontiguousarray(y[:, columns]))


@every_dtype
def test_matmul_into_a_given_array(rng, dtype):
    a, b = rng.normal(size=(21, 34)).astype(dtype), rng.normal(size=(34, 55)).astype(dtype)
    out = np.full((21, 55), np.nan, dtype)
    assert ops.matmul(a, b, out=out) is out
    assert same_bits(out, ops.matmul(a, b))


def test_matmul_keeps_nan_and_infinity():
    a, b = np.ones((3, 5), np.float32), np.ones((5, 40), np.float32)
    a[1, 2], b[0, 7] = np.nan, np.inf
    y = ops.matmul(a, b)
    assert np.isnan(y[1]).all()
    assert y[0, 7] == np.inf
    assert np.isfinite(np.delete(y[[0, 2]], 7, axis=1)).all()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (dict(a=np.ones((3, 784)), b=np.ones((100, 10))), ValueError, ["784", r"\(100, 10\)"]),
        (dict(a=np.ones(3), b=np.ones((3, 2))), ValueError, [r"\(3,\)"]),
        (dict(a=np.ones((2, 3, 4)), b=np.ones((4, 2))), ValueError, [r"\(2, 3, 4\)"]),
        (dict(a=np.ones((2, 3)), b=np.ones((3, 4)), bias=np.ones(3)), ValueError, ["4", "3"]),
        (dict(a=np.ones((2, 3)), b=np.ones((3, 4)), out=np.ones((4, 2))), ValueError, [r"\(2, 4\)", r"\(4, 2\)"]),
        (dict(a=np.ones((2, 3)), b=np.ones((3, 4)), out=np.ones((2, 4), np.int32)), (TypeError, ValueError), ["int32"]),
        (dict(a=np.ones((2, 3)), b=np.ones((3, 4)), activation="swish9"), ValueError, ["swish9", "relu"]),
        (dict(a=np.ones((2, 3)), b=np.ones((3, 4)), precision="float8"), ValueError, ["float8", "float32"]),
        (dict(a=np.ones((2, 3), complex), b=np.ones((3, 4))), TypeError, ["complex128"]),
        (dict(a=np.array([["a", "b"]]), b=np.ones((2, 4))), TypeError, ["<U1|str"]),
        (dict(a=np.array([[object()]]), b=np.ones((1, 4))), TypeError, ["object"]),
    ],
)  # fmt: skip
def test_matmul_names_what_it_expected(arguments, error, words):
    for word in words:
        with pytest.raises(error, match=word):
            ops.matmul(**arguments)


def test_a_read_only_output_is_refused():
    out = np.zeros((2, 4))
    out.flags.writeable = False
    with pytest.raises(ValueError, match=r"read-only|writ"):
        ops.matmul(np.ones((2, 3)), np.ones((3, 4)), out=out)
    with pytest.raises(ValueError, match=r"read-only|writ"):
        ops.activation("relu", np.ones((2, 4)), out=out)
    assert (out == 0).all()


def test_an_output_that_overlaps_an_input_still_holds_the_product(rng):
    a, b = rng.normal(size=(8, 8)), rng.normal(size=(8, 8))
    want, shared = ops.matmul(a, b), a.copy()
    try:
        ops.matmul(shared, b, out=shared)
    except ValueError:
        assert same_bits(shared, a)
    else:
        assert same_bits(shared, want)


# Softmax, one-hot


@every_dtype
def test_softmax(rng, dtype):
    for shape in [(0, 3), (1, 1), (5, 2), (3, 10), (17, 33), (4, 1000)]:
        x = (rng.normal(size=shape) * 20).astype(dtype)
        y = ops.softmax(x)
        want = reference.softmax(x.astype(np.float64)) if shape[0] else np.zeros(shape)
        # exp(x - max) carries the roundoff of its argument, which grows with the distance.
        distance = 1 + (x.max(axis=1, keepdims=True, initial=-np.inf) - x if shape[0] else 0)
        assert_within(y, want, 8, want * distance, f"softmax of {shape}")
    far = np.array([[1e30, -1e30, 0], [-1e4, -1e4, -1e4]], dtype)
    np.testing.assert_allclose(ops.softmax(far), [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-6)


def test_one_hot():
    np.testing.assert_array_equal(ops.one_hot(np.array([2, 0, 1]), 3), [[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(ops.one_hot([1], 2), [[0, 1]])
    assert ops.one_hot(np.array([], np.int64), 4).shape == (0, 4)
    for wrong, row in ([0, 3], 1), ([-1, 0], 0):
        with pytest.raises(ValueError, match=f"from 0 to 2.* row {row}"):
            ops.one_hot(np.array(wrong), 3)
    with pytest.raises((TypeError, ValueError), match=r"float|integer"):
        ops.one_hot(np.array([0.5]), 3)


# Losses


def typed(target, dtype):
    return target if target.ndim == 1 else target.astype(dtype)


@every_dtype
@every_loss_setting
def test_losses(rng, name, kind, settings, dtype):
    formula = reference.LOSSES[name]
    loss = type(losses.get(name))(**settings) if settings else name
    for rows, columns in [(1, 1), (1, 10), (3, 2), (33, 17), (300, 3), (1025, 1), (5, 1000)]:
        prediction = (rng.normal(size=(rows, columns)) * 5).astype(dtype)
        if kind in ("class", "distribution") and columns == 1:
            continue  # one class is no choice
        target = typed(targets_of(kind, rows, columns, rng), dtype)
        if kind == "number":  # some predictions are right
            np.copyto(prediction, target, where=rng.uniform(size=prediction.shape) < 0.1)
        value, gradient = ops.loss(loss, prediction, target)
        wide = target if kind == "class" else target.astype(np.float64)
        want, slope = formula.value(prediction.astype(np.float64), wide, **settings)
        eps = np.finfo(dtype).eps
        assert isinstance(value, float)
        assert value == pytest.approx(want, rel=float(formula.ulps * eps), abs=float(32 * eps))
        assert_within(
            gradient, slope, formula.ulps, (abs(prediction) + 1) / slope.size + abs(slope), f"{name} {rows, columns}"
        )
        assert gradient.dtype == np.dtype(dtype)


@every_dtype
@every_loss
def test_losses_give_the_same_bits_in_every_layout(rng, name, kind, dtype):
    prediction, target = rng.normal(size=(37, 5)).astype(dtype), typed(targets_of(kind, 37, 5, rng), dtype)
    value, gradient = ops.loss(name, prediction, target)
    for layout, form in layouts(prediction).items():
        got = ops.loss(name, form, target)
        assert got[0] == value, layout
        assert same_bits(got[1], gradient), layout
    for layout, form in layouts(target).items():
        got = ops.loss(name, prediction, form)
        assert got[0] == value, layout
        assert same_bits(got[1], gradient), layout


def test_a_column_and_a_vector_are_the_same_target(rng):
    prediction, target = rng.normal(size=(9, 1)), rng.normal(size=9)
    value, gradient = ops.loss("mse", prediction, target)
    assert value == ops.loss("mse", prediction, target[:, None])[0]
    assert gradient.shape == (9, 1)
    assert ops.loss("mse", prediction[:, 0], target)[0] == value


@every_dtype
def test_losses_of_far_predictions_stay_finite(dtype):
    far = np.array([[1e4, -1e4, 0.0]], dtype)
    value, gradient = ops.loss("cross_entropy", far, np.array([1]))
    assert value == pytest.approx(2e4)
    assert np.isfinite(gradient).all()
    value, gradient = ops.loss("bce_with_logits", far, np.array([[0.0, 1.0, 0.5]], dtype))
    assert value == pytest.approx((2e4 + np.log(2)) / 3, rel=1e-6)
    assert np.isfinite(gradient).all()


@every_dtype
@every_loss
def test_losses_keep_nan(rng, name, kind, dtype):
    prediction, target = rng.normal(size=(20, 3)).astype(dtype), typed(targets_of(kind, 20, 3, rng), dtype)
    prediction[7, 1] = np.nan
    value, gradient = ops.loss(name, prediction, target)
    assert np.isnan(value)
    assert np.isnan(gradient[7, 1])
    assert np.isfinite(np.delete(gradient, 7, axis=0)).all()


@pytest.mark.parametrize(
    ("name", "prediction", "target", "error", "word"),
    [
        ("mse", np.ones((4, 2)), np.ones((4, 3)), ValueError, r"\(4, 3\)"),
        ("mse", np.ones((4, 1)), np.ones(3), ValueError, r"\(3,\)|3 rows"),
        ("mse", np.ones((4, 4)), np.ones(4), ValueError, r"\(4,\)|\(4, 1\)"),
        ("mse", np.ones((0, 2)), np.ones((0, 2)), ValueError, "row|empty"),
        ("cross_entropy", np.ones((2, 3)), np.array([0, 3]), ValueError, "from 0 to 2.* row 1"),
        ("cross_entropy", np.ones((2, 3)), np.array([0, -1]), ValueError, "from 0 to 2.* row 1"),
        ("cross_entropy", np.ones((2, 3)), np.array([0, 1, 2]), ValueError, "3"),
        ("cross_entropy", np.ones((2, 3)), np.ones((2, 2)), ValueError, r"\(2, 2\)"),
        ("mse", np.ones((2, 1)), np.array(["a", "b"]), TypeError, "<U1|str"),
        ("nosuch", np.ones((2, 1)), np.ones(2), ValueError, "cross_entropy"),
    ],
)
def test_losses_name_what_they_expected(name, prediction, target, error, word):
    with pytest.raises(error, match=word):
        ops.loss(name, prediction, target)


# Optimizers


@every_dtype
@every_optimizer
def test_updates(rng, name, settings, dtype):
    formula = reference.OPTIMIZERS[name]
    for shape in [(0,), (1,), (17,), (5, 7), (1001,)]:
        parameter = rng.normal(size=shape).astype(dtype)
        state, want_state = {}, {}
        want = parameter.astype(np.float64)
        for _ in range(5):
            gradient = rng.normal(size=shape).astype(dtype)
            assert ops.update(name, parameter, gradient, state, **settings) is None
            want, want_state = formula.step(want, gradient.astype(np.float64), want_state, **settings)
        assert_within(parameter, want, 5 * formula.ulps, abs(want) + 1, f"{name} of {shape}")
        for key, value in want_state.items():
            if key not in state:  # a number that the sweep finds from the step
                continue
            if np.ndim(value) == 0:
                assert state[key] == value
            else:
                assert state[key].dtype == np.dtype(dtype)
                assert_within(state[key], value, 5 * formula.ulps, abs(value) + 1, f"{key} of {name} of {shape}")


@every_dtype
@every_optimizer
def test_updates_give_the_same_bits_in_every_layout(rng, name, settings, dtype):
    parameter, gradient = rng.normal(size=(37, 5)).astype(dtype), rng.normal(size=(37, 5)).astype(dtype)
    want, state = parameter.copy(), {}
    for _ in range(2):
        ops.update(name, want, gradient, state, **settings)
    for layout, form in layouts(gradient).items():
        got, state = parameter.copy(), {}
        for _ in range(2):
            ops.update(name, got, form, state, **settings)
        assert same_bits(got, want), layout
        assert np.array_equal(form, gradient), f"{layout}: the gradient changed"


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_name_what_they_expected(name):
    parameter = np.ones(4, np.float32)
    for gradient, error, word in [
        (np.ones(5, np.float32), ValueError, "4"),
        (np.array(["a"] * 4), TypeError, "<U1|str"),
        (np.array([1, 2, 3, 1e39]), ValueError, "gradient has a number too large for float32, first in row 3"),
    ]:
        with pytest.raises(error, match=word):
            ops.update(name, parameter, gradient, {})
    for state, error, word in [
        (None, TypeError, "a dictionary, {} at first, got NoneType"),
        ({"step": 10**30}, ValueError, "an integer of at least 0"),
    ]:
        with pytest.raises(error, match=word):
            ops.update(name, parameter, parameter.copy(), state)
    with pytest.raises((TypeError, ValueError), match="nosuch"):
        ops.update(name, parameter, parameter.copy(), {}, nosuch=1.0)
    with pytest.raises(ValueError, match="lr"):
        ops.update(name, parameter, parameter.copy(), {}, lr=float("nan"))
    read_only = np.ones(4, np.float32)
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match=r"read-only|writ"):
        ops.update(name, read_only, parameter, {})
    with pytest.raises(TypeError, match="int64"):
        ops.update(name, np.ones(4, np.int64), parameter, {})
    assert (parameter == 1).all()


def test_unknown_names_are_answered_with_the_valid_ones():
    with pytest.raises(ValueError, match="leaky_relu"):
        ops.activation("nosuch", np.ones(3))
    with pytest.raises(ValueError, match="adam"):
        ops.update("nosuch", np.ones(3), np.ones(3), {})
    with pytest.raises((TypeError, ValueError), match="slope"):
        ops.activation("relu", np.ones(3), slope=2.0)


# Threads


@every_dtype
def test_the_number_of_threads_does_not_change_the_bits(threads, rng, dtype):
    a, b = rng.normal(size=(700, 300)).astype(dtype), rng.normal(size=(300, 130)).astype(dtype)
    results = []
    for number in (1, 2, 3, 4):
        threads(number)
        results.append((ops.matmul(a, b), ops.activation("gelu", a), ops.loss("mse", a, a[::-1])))
    for product, activated, (value, gradient) in results[1:]:
        assert same_bits(product, results[0][0])
        assert same_bits(activated, results[0][1])
        assert value == results[0][2][0]
        assert same_bits(gradient, results[0][2][1])


@pytest.mark.parametrize(
    "call",
    [
        lambda x: ops.activation(None, x),
        lambda x: ops.activation_gradient(3, x, x),
        lambda x: ops.update(None, x, x.copy(), {}),
        lambda x: ops.matmul(x, x, activation=3),
        lambda x: ops.matmul(x, x, transpose_a="no"),
        lambda x: ops.matmul(x, x, transpose_b=None),
        lambda x: ops.one_hot([0, 1], 2.5),
        lambda x: ops.activation("leaky_relu", x, negative_slope="0.5"),
        lambda x: ops.activation_gradient("leaky_relu", x, x, negative_slope=None),
        lambda x: ops.update("adam", x, x.copy(), {"exp_avg": [0.0]}),
    ],
)
def test_arguments_of_a_wrong_kind_are_named(call):
    with pytest.raises(TypeError, match=r"^\[\w+\] expected"):
        call(np.ones((3, 3), np.float32))


# bfloat16


def rounded_to_bfloat16(x):
    """The nearest number of 8 bits of precision, of two the even one."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)).view(np.float32)


def bfloat16_chains(a, b):
    """Exact products of rounded operands, added to float32 sums; of each pair along k, the odd one first."""
    a, b = (rounded_to_bfloat16(x).astype(np.float64) for x in (a, b))
    depth = a.shape[1]
    sums = np.zeros((a.shape[0], b.shape[1]), np.float32)
    for pair in range(0, depth, 2):
        for p in (pair + 1, pair):
            if p < depth:
                sums = (sums + np.outer(a[:, p], b[p])).astype(np.float32)
    return sums


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 2), (17, 33, 7), (64, 64, 64), (100, 70, 131), (40, 300, 1201)])
@pytest.mark.parametrize("transposes", [(False, False), (True, False), (False, True), (True, True)])
def test_bfloat16_products_are_chains_of_pairs(rng, shape, transposes):
    m, n, k = shape
    a, b = (rng.normal(size=s).astype(np.float32) for s in ((m, k), (k, n)))
    given = [x.T.copy() if t else x for x, t in zip((a, b), transposes, strict=True)]
    y = ops.matmul(*given, transpose_a=transposes[0], transpose_b=transposes[1], precision="bfloat16")
    assert same_bits(y, bfloat16_chains(a, b))
    exact, magnitude = a.astype(np.float64) @ b, np.abs(a).astype(np.float64) @ np.abs(b)
    assert (np.abs(y - exact) <= (2.0**-7 + k * 2.0**-24) * magnitude).all()


def test_bfloat16_keeps_what_is_not_finite():
    a = np.array([[np.inf, 1, 0], [np.nan, 1, 0], [3.4e38, 1, 0]], np.float32)
    y = ops.matmul(a, np.eye(3, dtype=np.float32)[:, :1] * 2, precision="bfloat16")
    assert y[0, 0] == np.inf
    assert np.isnan(y[1, 0])
    assert y[2, 0] == np.inf  # the nearest number of 8 bits is beyond the range


def test_bfloat16_is_for_float32(rng):
    a = rng.normal(size=(3, 3))
    with pytest.raises(ValueError, match=r"float32.*bfloat16.*float64"):
        ops.matmul(a, a, precision="bfloat16")
