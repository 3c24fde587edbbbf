"""The fast ways of whet.ops against the thorough ones, which stand behind them as `__wrapped__`.

Whatever is given, both have to return the same bits, raise the same error and leave the same in what they were given.
"""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import itertools
import pickle
import pydoc
import sys
import tracemalloc
import typing
import weakref

import numpy as np
import pytest

import whet
from tests.helpers import layouts, misaligned, same_bits
from whet import _core, losses, ops, optim, schedules

DECLINED = object()


def fast_alone(name):
    """The fast way of that name, with nothing but a mark behind it."""

    def declined(*_arguments, **_options):
        return DECLINED

    declined.__name__ = name
    return _core.fast(declined)


FAST = {name: fast_alone(name) for name in ops.__all__}


def usual_calls(dtype):
    """For each function some calls that its fast way takes, every argument by its name."""
    rng = np.random.default_rng(0)

    def x(*shape):
        return rng.normal(size=shape).astype(dtype)

    def moments(*names):
        return {"step": 3, **{name: abs(x(4, 3)) for name in names}}

    step = dict(parameter=x(4, 3), gradient=x(4, 3))
    return {
        "matmul": dict(a=x(4, 5), b=x(5, 3)),
        "matmul all": dict(
            a=x(5, 4), b=x(3, 5), transpose_a=True, transpose_b=True, bias=x(3), activation="gelu",
            precision="float32", out=x(4, 3),
        ),
        "activation": dict(name="gelu", x=x(4, 6)),
        "activation all": dict(name="softplus", x=x(4, 6), out=x(4, 6), beta=2.0, threshold=1),
        "activation_gradient": dict(name="tanh", x=x(5, 7), dy=x(5, 7)),
        "activation_gradient all": dict(name="leaky_relu", x=x(5, 7), dy=x(5, 7), out=x(5, 7), negative_slope=0.3),
        "softmax": dict(x=x(3, 5)),
        "softmax all": dict(x=x(3, 5), out=x(3, 5)),
        "one_hot": dict(labels=rng.integers(0, 4, 6), classes=4),
        "loss mse": dict(loss="mse", prediction=x(5, 3), target=x(5, 3)),
        "loss l1": dict(loss="l1", prediction=x(5), target=x(5)),
        "loss bce": dict(loss="bce_with_logits", prediction=x(5, 1), target=(x(5) > 0).astype(dtype)),
        "loss classes": dict(loss="cross_entropy", prediction=x(6, 4), target=rng.integers(0, 4, 6).astype(np.int32)),
        "loss distributions": dict(loss="cross_entropy", prediction=x(5, 3), target=ops.softmax(x(5, 3))),
        "update gd": dict(name="gd", **step, state={}, lr=0.1, weight_decay=1),
        "update sgd": dict(name="sgd", **step, state={}, lr=0.1, momentum=0.0, nesterov=False),
        "update momentum": dict(
            name="sgd", **step, state=moments("momentum_buffer"), lr=0.1, momentum=0.9, dampening=0.0,
            weight_decay=0.01, nesterov=True,
        ),
        "update dampening": dict(
            name="sgd", **step, state=moments("momentum_buffer"), momentum=0.5, dampening=-0.2, nesterov=False
        ),
        "update adam": dict(name="adam", **step, state=moments("exp_avg", "exp_avg_sq")),
        "update adam all": dict(
            name="adam", **step, state=moments("exp_avg", "exp_avg_sq"), betas=(0.8, 0), lr=0.1, eps=1e-6,
            weight_decay=0.1,
        ),
    }  # fmt: skip


CALLS = list(usual_calls(np.float32))
every_call = pytest.mark.parametrize("call", CALLS)
every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def frozen(value):
    """What can be compared: bits of arrays, kinds and texts of the rest."""
    if isinstance(value, np.ndarray):
        bits = value.tobytes() if value.dtype.kind in "biufcSUM" and value.itemsize <= 8 else repr(value.tolist())
        return type(value), value.dtype.str, value.shape, bits
    if isinstance(value, dict):
        return type(value), [(key, frozen(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [frozen(item) for item in value]
    return type(value), repr(value)


def outcome(function, arguments, positional=()):
    """What a call returns or raises, and what it leaves."""
    try:
        result = frozen(function(*positional, **arguments))
    except Exception as error:
        result = type(error), str(error)
    return result, frozen(arguments)


def assert_same(name, make):
    """Both ways do the same with what `make` returns, made for each."""
    fast, thorough = outcome(getattr(ops, name), make()), outcome(getattr(ops, name).__wrapped__, make())
    assert fast == thorough


def places(arguments):
    """(dictionary within, name) of each argument, the parts of a state among them."""
    for name, value in arguments.items():
        yield (), name
        if isinstance(value, dict):
            yield from (((name,), part) for part in value)


def with_argument(call, dtype, place, change):
    """The arguments of a usual call, one of them changed."""
    arguments = usual_calls(dtype)[call]
    path, name = place
    inner = functools.reduce(dict.__getitem__, path, arguments)
    inner[name] = change(inner[name])
    return arguments


@every_call
@every_dtype
def test_the_fast_way_takes_what_is_usual_and_gives_the_same_bits(call, dtype):
    name = call.split()[0]
    arguments = usual_calls(dtype)[call]
    result = FAST[name](**arguments)
    assert result is not DECLINED
    assert "out" not in arguments or result is arguments["out"]
    assert_same(name, lambda: usual_calls(dtype)[call])
    result, _ = outcome(getattr(ops, name), usual_calls(dtype)[call])
    assert not issubclass(result[0], Exception)


@every_call
def test_arguments_in_their_places_and_names_that_are_not_interned(call):
    name, arguments = call.split()[0], usual_calls(np.float32)[call]
    want, _ = outcome(getattr(ops, name).__wrapped__, arguments)
    parameters = inspect.signature(getattr(ops, name)).parameters.values()
    required = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    for count in range(len(required) + 1):
        arguments = {"".join(list(key)): value for key, value in usual_calls(np.float32)[call].items()}
        assert not any(key is other for key in arguments for other in required if len(key) > 1)
        if "name" in arguments:
            arguments["name"] = "".join(list(arguments["name"]))
        positional = [arguments.pop(key) for key in required[:count]]
        got, _ = outcome(FAST[name], arguments, positional)
        assert got == want


def unpickled(a):
    return pickle.loads(pickle.dumps(a))


def with_last(a, value):
    return np.where(np.arange(a.size).reshape(a.shape) == a.size - 1, value, a)


class Own(np.ndarray):
    pass


#: Arrays that are made of a usual one, or stand in its place.
FORMS = {
    **{layout: lambda a, layout=layout: layouts(a)[layout] for layout in layouts(np.ones(2))},
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(a.ravel().tolist()),
    "unpickled": unpickled,
    "broadcast to its own shape": lambda a: np.broadcast_arrays(a, a)[0],
    "turned": lambda a: a.T,
    "subclass": lambda a: a.view(Own),
    "masked array": np.ma.array,
    "masked elements": lambda a: np.ma.array(a, mask=np.arange(a.size).reshape(a.shape) == 1),
    "no axes": lambda a: a.ravel()[0:1].reshape(()),
    "scalar": lambda a: a.ravel()[0],
    "an axis more": lambda a: a[None],
    "an axis more behind": lambda a: a[..., None],
    "one element": lambda a: a[:1, ...],
    "a row less": lambda a: a[1:],
    "empty": lambda a: a[:0],
    "no columns": lambda a: a[..., :0],
    "one column": lambda a: a[..., :1],
    "one column of others": lambda a: np.repeat(a[..., :1], 2, axis=-1)[..., :1],
    "one row repeated": lambda a: np.broadcast_to(a[:1], a.shape),
    "one element repeated": lambda a: np.broadcast_to(a.ravel()[:1].reshape((1,) * a.ndim), a.shape),
    "far apart": lambda a: np.lib.stride_tricks.as_strided(a[:1], strides=(2**40, *a.strides[1:])),
    "overlapping rows": lambda a: np.lib.stride_tricks.as_strided(a, strides=(a.itemsize,) * a.ndim),
    "odd rows": lambda a: np.zeros((len(a), a[0].nbytes + 1), np.uint8)[:, : a[0].nbytes].view(a.dtype),
    "misaligned and swapped": lambda a: misaligned(a.astype(a.dtype.newbyteorder())),
    **{dtype: lambda a, dtype=dtype: a.astype(dtype) for dtype in [
        "bool", "int8", "uint8", "int32", "int64", "uint64", "longlong", "float16", "float32", "float64",
        "longdouble", "complex64", "object", "str", "datetime64[s]",
    ]},
    **{f"with {value}": lambda a, value=value: with_last(a, value)
       for value in [np.nan, np.inf, -np.inf, -1, 4, 1e300]},
    **{f"with {value} as before": lambda a, value=value: with_last(a, value).astype(a.dtype)
       for value in [np.nan, np.inf, -1, 4]},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@every_dtype
@every_call
def test_arrays_of_every_form(call, dtype):
    usual = usual_calls(dtype)[call]
    for place in places(usual):
        path, name = place
        if not isinstance(functools.reduce(dict.__getitem__, path, usual)[name], np.ndarray):
            continue
        for change in FORMS.values():
            try:
                with_argument(call, dtype, place, change)
            except (TypeError, ValueError, IndexError, OverflowError):
                continue  # there is no such form of an array of this shape or type
            assert_same(call.split()[0], lambda place=place, change=change: with_argument(call, dtype, place, change))


class Text(str):
    pass


class OwnDict(dict):
    pass


VALUES = [
    None, True, False, np.True_, 0, 1, 3, -1, 2**62, 2**63 - 1, 2**63, 10**400, 0.0, -0.0, 0.5, 1.0, -0.5,
    float("nan"), float("inf"), 1e300, np.float32(0.5), np.float64(0.5), np.int64(3), np.float64("nan"), 1j, "0.5",
    "relu", "Relu", "leaky_relu", "identity", "mse", "MSELoss", "mae", "cross_entropy", "sgd", "adam", "Adam",
    "float32", "bfloat16", "nosuch", "", "\ud800", Text("relu"), Text("mse"), Text("float32"), np.str_("adam"), b"relu",
    (), (0.9,), (0.9, 0.99), [0.9, 0.99], (0.9, 1.0), (-0.1, 0.5), (True, 0.5), (0.9, float("nan")), (1, 0.5), "ab",
    {}, {"step": 2}, OwnDict(step=2), {"exp_avg": None}, losses.MSELoss(), schedules.Linear(0.5, 0.1),
    np.array(0.5), np.array([0.5, 0.25]), np.ones((4, 3), np.float32),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@every_call
def test_other_values_in_the_place_of_every_argument(call):
    for place in places(usual_calls(np.float32)[call]):
        for value in VALUES:
            change = functools.partial(lambda value, _: copy.deepcopy(value), value)
            assert_same(call.split()[0], lambda place=place, c=change: with_argument(call, np.float32, place, c))


@pytest.mark.parametrize("name", whet.build_info()["optimizers"])
def test_every_option_of_every_optimizer(name):
    slots = [slot for entry in _core.optimizers() for slot in entry["slots"]]
    usual = {**usual_calls(np.float32)["update gd"], "name": name}
    del usual["lr"], usual["weight_decay"]
    momentum = {"momentum": 0.9} if name == "sgd" else {}
    for option in [*optim.get(name).arguments(), "clip_norm"]:
        for value in VALUES:
            state = {"step": 2, **{slot: np.ones((4, 3), np.float32) for slot in slots}}
            given = {**usual, **momentum, "state": state, option: value}
            assert_same("update", lambda given=given: copy.deepcopy(given))


@pytest.mark.parametrize("entry", _core.activations(), ids=lambda entry: entry["name"])
def test_every_option_of_every_activation(entry):
    x = np.linspace(-30, 30, 24, dtype=np.float32).reshape(4, 6)
    for option in [*entry["options"], "nosuch"]:
        for value in VALUES:
            assert_same("activation", lambda o=option, v=value: {"name": entry["name"], "x": x, o: v})
            assert_same("activation_gradient", lambda o=option, v=value: {"name": entry["name"], "x": x, "dy": x, o: v})


@every_call
def test_arguments_too_few_too_many_and_of_other_names(call):
    name = call.split()[0]
    ways = [getattr(ops, name), getattr(ops, name).__wrapped__]
    for left_out in usual_calls(np.float32)[call]:
        assert_same(name, lambda n=left_out: {k: v for k, v in usual_calls(np.float32)[call].items() if k != n})
    for unknown in ["nosuch", "beta1", "lr", "betas", "out", "alpha", Text("out"), Text("lr")]:
        for value in [0.5, None, (0.5, 0.5)]:
            assert_same(name, lambda n=unknown, v=value: {**usual_calls(np.float32)[call], n: v})
    given = list(usual_calls(np.float32)[call].values())
    for count in range(len(given) + 5):
        positional = (given * 9)[:count]
        assert outcome(ways[0], {}, positional) == outcome(ways[1], {}, positional)
    assert outcome(ways[0], usual_calls(np.float32)[call], given[:1]) == outcome(
        ways[1], usual_calls(np.float32)[call], given[:1]
    )
    many = {f"option{i}": 1.0 for i in range(20)}
    assert_same(name, lambda: {**usual_calls(np.float32)[call], **many})


PAIRS = [
    ("matmul all", "out", "a"), ("matmul all", "out", "b"), ("matmul all", "out", "bias"), ("matmul all", "a", "b"),
    ("activation all", "out", "x"), ("activation_gradient all", "out", "x"), ("activation_gradient all", "out", "dy"),
    ("activation_gradient all", "x", "dy"), ("softmax all", "out", "x"), ("update adam", "parameter", "gradient"),
]  # fmt: skip


@every_dtype
@pytest.mark.parametrize(("call", "first", "second"), PAIRS)
def test_arguments_that_share_memory(call, first, second, dtype):
    name = call.split()[0]

    def make(one, other, shift):
        arguments = usual_calls(dtype)[call]
        size = arguments[one].size
        memory = np.zeros(2 * size + 2 * arguments[other].size, dtype)
        for key, start in [(one, 0), (other, shift)]:
            array = memory[start : start + arguments[key].size].reshape(arguments[key].shape)
            array[...] = arguments[key]
            arguments[key] = array
        return arguments

    for one, other in [(first, second), (second, first)]:
        size = usual_calls(dtype)[call][one].size
        for shift in [0, 1, 5, size - 1, size, size + 1]:
            assert_same(name, functools.partial(make, one, other, shift))


@every_dtype
def test_the_arrays_of_an_update_are_apart_or_refused(dtype):
    names = ["parameter", "gradient", "exp_avg", "exp_avg_sq"]

    def make(first, second, shift):
        arguments = usual_calls(dtype)["update adam"]
        memory = abs(np.random.default_rng(1).normal(size=40)).astype(dtype)
        for name, start in [(first, 0), (second, shift)]:
            array = memory[start : start + 12].reshape(4, 3)
            (arguments if name in arguments else arguments["state"])[name] = array
        return arguments

    for first, second in itertools.permutations(names, 2):
        for shift in [0, 1, 11, 12]:
            assert_same("update", functools.partial(make, first, second, shift))
            if shift < 12 and "gradient" not in (first, second):
                with pytest.raises(ValueError, match="apart in memory"):
                    ops.update(**make(first, second, shift))


@every_dtype
@pytest.mark.parametrize("off", [0, 1e-4, 0.00099, 0.000999, 0.0009995, 0.001, 0.0010005, 0.0011, -0.00099, -0.0011])
def test_sums_of_distributions_near_the_limit(off, dtype):
    target = np.full((3, 8), 0.125)
    target[1, 5] += off
    prediction = np.random.default_rng(0).normal(size=(3, 8)).astype(dtype)
    assert_same("loss", lambda: dict(loss="cross_entropy", prediction=prediction, target=target.astype(dtype)))


@pytest.mark.parametrize("loss", ["mse", "l1", "bce_with_logits", "cross_entropy"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 1), (3, 17), (2, 100), (700, 3), (400, 400)])
def test_one_wrong_element_of_a_target_anywhere(loss, shape):
    rng = np.random.default_rng(0)
    prediction, right = rng.normal(size=shape), np.full(shape, 1 / shape[1])
    places = {(0, 0), (shape[0] - 1, shape[1] - 1), (shape[0] // 2, shape[1] // 2)}
    for wrong in [np.nan, np.inf, -np.inf, -1e-6, 1.5]:
        for place in places:
            target = right.copy()
            target[place] = wrong
            for dtype in (np.float32, np.float64):
                given = dict(loss=loss, prediction=prediction.astype(dtype), target=target.astype(dtype))
                assert_same("loss", lambda given=given: given)
    labels = rng.integers(0, shape[1], shape[0])
    for wrong in [-1, 0, shape[1] - 1, shape[1], 2**31 - 1, -(2**31)]:
        for row in {0, shape[0] - 1}:
            for kind in ("int32", "int64"):
                target = labels.astype(kind)
                target[row] = wrong
                assert_same("loss", lambda t=target: dict(loss=loss, prediction=prediction, target=t))
                assert_same("one_hot", lambda t=target: dict(labels=t, classes=shape[1]))


@pytest.mark.parametrize("call", ["activation all", "activation_gradient all", "softmax all", "matmul all"])
def test_large_arrays_and_gaps_between_rows_take_the_fast_way_too(call):
    name, rng = call.split()[0], np.random.default_rng(0)

    def make(size, gap, hole):
        arguments = usual_calls(np.float32)[call]
        for key, value in arguments.items():
            if isinstance(value, np.ndarray):
                x = rng.normal(size=(size, size + gap if key in hole else size)).astype(np.float32)
                arguments[key] = x[0, :size] if key == "bias" else x[:, :size]
        return arguments

    arrays = [key for key, value in usual_calls(np.float32)[call].items() if isinstance(value, np.ndarray)]
    for size, gap, hole in itertools.product([3, 300], [0, 1, 16], [arrays, arrays[:1], arrays[-1:]]):
        rng = np.random.default_rng(0)
        assert FAST[name](**make(size, gap, hole)) is not DECLINED
        rng = np.random.default_rng(0)
        fast = outcome(getattr(ops, name), make(size, gap, hole))
        rng = np.random.default_rng(0)
        assert fast == outcome(getattr(ops, name).__wrapped__, make(size, gap, hole))


def test_large_losses_and_updates_are_the_same_on_every_number_of_threads(threads, rng):
    x, target = rng.normal(size=(2000, 60)).astype(np.float32), rng.integers(0, 60, 2000)
    for number in (1, 2, 3):
        threads(number)
        assert_same("loss", lambda: dict(loss="cross_entropy", prediction=x, target=target))
        assert_same("loss", lambda: dict(loss="mse", prediction=x, target=x[::-1].copy()))
        state = dict(step=1, exp_avg=x, exp_avg_sq=abs(x))
        assert_same("update", lambda s=state: copy.deepcopy(dict(name="adam", parameter=x, gradient=x + 1, state=s)))
        assert_same("one_hot", lambda: dict(labels=target, classes=60))


@every_call
def test_a_call_keeps_no_reference_and_no_memory(call):
    name = call.split()[0]
    usual, other = usual_calls(np.float32)[call], usual_calls(np.float32)[call]
    wrong = {**usual_calls(np.float32)[call], "nosuch": 0.5}
    refused = {key: value for key, value in usual.items() if key not in ("x", "a", "labels", "prediction", "gradient")}

    def counts():
        counted = [v for given in (usual, other, wrong) for v in given.values() if isinstance(v, (np.ndarray, dict))]
        counted += [v for given in (usual, other) for v in given.get("state", {}).values() if isinstance(v, np.ndarray)]
        return [sys.getrefcount(v) for v in [*counted, np.dtype(np.float32), getattr(ops, name)]]

    def repeat(times, ways):
        for _ in range(times):
            for way, arguments in ways:
                outcome(way, arguments)

    fast = [(getattr(ops, name), usual), (FAST[name], other), (FAST[name], wrong), (FAST[name], refused)]
    thorough = [(getattr(ops, name), wrong), (getattr(ops, name), refused)]
    repeat(20, fast + thorough)
    before = counts()
    repeat(100, fast + thorough)
    assert counts() == before
    tracemalloc.start()
    try:
        repeat(20, fast)
        gc.collect()
        start = tracemalloc.get_traced_memory()[0]
        repeat(500, fast)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - start < 10_000  # 500 lost arrays or numbers are more
    finally:
        tracemalloc.stop()


@every_dtype
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 7, 3), (40, 33, 70)])
def test_products_of_every_orientation_take_the_fast_way(rng, dtype, shape):
    m, n, k = shape
    bias = rng.normal(size=n).astype(dtype)
    for turn_a, turn_b in [(False, False), (True, False), (False, True), (True, True)]:
        a = rng.normal(size=(k, m) if turn_a else (m, k)).astype(dtype)
        b = rng.normal(size=(n, k) if turn_b else (k, n)).astype(dtype)
        for form in (a, np.asfortranarray(a), np.pad(a, ((0, 0), (1, 2)))[:, 1:-2]):
            options = dict(transpose_a=turn_a, transpose_b=turn_b, bias=bias, activation="gelu")
            fast = FAST["matmul"](form, b, **options)
            assert same_bits(fast, ops.matmul.__wrapped__(form, b, **options))
            out = np.full((m, n), np.nan, dtype)
            assert FAST["matmul"](form, b, **options, out=out) is out
            assert same_bits(out, fast)


def test_the_fast_matmul_takes_nothing_that_needs_a_conversion_or_an_error():
    a = np.ones((4, 4), np.float32)
    read_only = np.ones((4, 4), np.float32)
    read_only.flags.writeable = False
    unaligned = np.frombuffer(bytes(65), np.uint8, offset=1).view(np.float32).reshape(4, 4)
    row = np.ones(5, np.float32)
    larger = np.ones((8, 8), np.float32)
    left = [
        dict(a=[[1.0]], b=a),
        dict(a=a, b=a.astype(np.float64)),
        dict(a=a, b=np.ones((3, 4), np.float32)),
        dict(a=a, b=np.ones((4, 0), np.float32)),
        dict(a=np.ma.array(a), b=a),
        dict(a=a.astype(">f4"), b=a),
        dict(a=a, b=a[0]),
        dict(a=unaligned, b=a),
        dict(a=larger[::2, ::2], b=a),
        dict(a=a[::-1], b=a),
        dict(a=np.broadcast_to(row[:4], (4, 4)), b=a),
        dict(a=a, b=a, transpose_a=1),
        dict(a=a, b=a, activation="nosuch"),
        dict(a=a, b=a, activation=3),
        dict(a=a, b=a, activation="\ud800"),
        dict(a=a, b=a, precision="float8"),
        dict(a=a.astype(np.float64), b=a.astype(np.float64), precision="bfloat16"),
        dict(a=a, b=a, bias=row),
        dict(a=a, b=a, bias=larger[:4, 0]),
        dict(a=a, b=a, bias=row[:4].astype(np.float64)),
        dict(a=a, b=a, out=a),
        dict(a=larger[:4, :4], b=a, out=larger[2:6, :4]),
        dict(a=a, b=a, bias=larger[0, :4], out=larger[:4, :4]),
        dict(a=a, b=a, out=read_only),
        dict(a=a, b=a, out=np.ones((4, 5), np.float32)),
        dict(a=a, b=a, out=np.ones((4, 4))),
        dict(a=a, b=a, out=np.asfortranarray(np.ones((4, 4), np.float32))),
    ]
    for arguments in left:
        assert FAST["matmul"](**arguments) is DECLINED, arguments
    assert FAST["matmul"](a, a) is not DECLINED


# What looks at functions


@pytest.mark.parametrize("name", ops.__all__)
def test_a_fast_function_looks_like_a_function(name):
    function = getattr(ops, name)
    thorough = function.__wrapped__
    assert inspect.isfunction(thorough)
    assert inspect.signature(function) == inspect.signature(thorough)
    assert typing.get_type_hints(function) == typing.get_type_hints(thorough)
    for attribute in ("__name__", "__qualname__", "__module__", "__doc__"):
        assert getattr(function, attribute) == getattr(thorough, attribute)
    assert inspect.getsource(function) == inspect.getsource(thorough)
    assert inspect.unwrap(function) is thorough
    assert callable(function)
    assert inspect.isroutine(function)
    assert f"fast function {name} at 0x" in repr(function)
    page = pydoc.plain(pydoc.render_doc(function))
    assert page.splitlines()[2].startswith(f"{name}(")
    assert function.__doc__.splitlines()[0] in page
    assert pickle.loads(pickle.dumps(function)) is function
    assert copy.copy(function) is function
    assert copy.deepcopy([function])[0] is function
    assert weakref.ref(function)() is function
    assert {function: 1}[function] == 1

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    assert inspect.signature(wrapper) == inspect.signature(function)
    assert wrapper.__name__ == name


def test_a_fast_function_binds_to_objects_as_a_function_does():
    x = np.array([[-1.0, 2.0]], np.float32).view()

    class Holder:
        softmax = ops.softmax
        plain = staticmethod(ops.softmax)

        def __array__(self, dtype=None, copy=None):
            return x

    assert np.array_equal(Holder().softmax(), ops.softmax(x))
    assert np.array_equal(Holder().plain(x), ops.softmax(x))
    assert Holder.softmax is ops.softmax
    assert np.array_equal(functools.partial(ops.activation, "relu")(x), [[0.0, 2.0]])
    assert len(list(map(ops.softmax, [x, x]))) == 2
    assert np.array_equal(ops.softmax.__call__(x), ops.softmax(x))


def test_a_fast_function_can_be_collected():
    def make():
        def softmax():
            return fast

        fast = _core.fast(softmax)
        fast.itself = [fast]
        assert fast.__dict__["itself"] == [fast]
        return weakref.ref(fast)

    gone = make()
    gc.collect()
    assert gone() is None


def test_what_has_no_fast_way_is_refused():
    def nosuch():
        pass

    with pytest.raises(ValueError, match="nosuch"):
        _core.fast(nosuch)
    for wrong in [3, None, len, functools.partial(nosuch), ops.softmax]:
        with pytest.raises(TypeError):
            _core.fast(wrong)
    with pytest.raises(TypeError):
        _core.fast()
    with pytest.raises(TypeError):
        _core.fast(function=nosuch)
