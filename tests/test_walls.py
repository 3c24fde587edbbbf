"""Who may know whom. The tables say which arrows are allowed; everything else is an error.

A new room is one line here. An arrow that the tables refuse is a reason to move the code, not the wall.
"""

from __future__ import annotations

import ast
import re
import sys

import pytest

from tests.helpers import ROOT, text_of, tracked_files

# C++: a folder of cpp/ -> the folders whose headers it may include, besides its own.
CPP_ROOMS = {
    "core": set(),
    "math": {"core"},
    "device": {"core", "math"},
    "device/cpu": {"core", "math", "device", "device/cpu/kernels"},
    "device/cpu/kernels": {"core", "math"},
    "graph": {"core", "math", "device"},
    "graph/ops": {"core", "math", "device", "graph"},
    "metrics": {"core", "math", "device"},
    "engine": {"core", "math", "device", "graph", "graph/ops", "metrics"},
    "engine/optimizers": {"core", "math", "device", "engine"},
    "linear": {"core", "graph"},
    "bindings": {"core", "math", "device", "device/cpu", "graph", "graph/ops", "engine", "engine/optimizers", "linear"}
    | {"metrics"},
}

# In a file compiled once per instruction set, a container's or an algorithm's code would be shared between the sets.
KERNEL_HEADERS = {"array", "bit", "cstddef", "cstdint", "cstring", "immintrin.h", "limits", "type_traits", "utility"}

# Headers with one home.
HOMES = {
    r"pybind11/.*|Python\.h": "cpp/bindings/",
    r".*intrin\.h": "cpp/device/cpu/",
    r"pthread\.h|sched\.h|unistd\.h|dlfcn\.h|fcntl\.h|sys/.*|linux/.*": "cpp/core/platform.cpp",
}

# Words that a folder may not contain: math names no instruction set and no device, the engine no Python.
FORBIDDEN_WORDS = {
    "cpp/math/": r"(?i)\b(avx\w*|sse\d*|neon|cuda|__m\d+\w*|_mm\w*)\b",
    "cpp/core/": r"(?i)\b(avx\w*|neon|cuda|python)\b",
    "cpp/graph/": r"(?i)\b(avx\w*|neon|cuda|numpy)\b",
    "cpp/engine/": r"(?i)\b(avx\w*|neon|cuda|numpy|py::)\b",
    "cpp/device/cpu/kernels/": r"\b(new|delete|malloc|free|throw|try|catch|std::(vector|string|function|thread))\b",
}

# Python: a module or package of whet -> those it may import, besides its own. Imports inside functions count too.
NUMERIC = {"_borrowed", "_core", "_arrays", "_checks", "_frozen", "errors", "losses", "metrics", "optim", "schedules"}
PYTHON_ROOMS = {
    "_core": set(),
    "errors": {"_core"},
    "_borrowed": set(),
    "_arrays": {"_borrowed", "_core"},
    "_checks": set(),
    "_frozen": set(),
    "_elementary": set(),
    "optim": {"_checks", "_frozen", "schedules"},
    "runtime": {"_core"},
    "schedules": {"_checks", "_elementary", "_frozen"},
    "losses": {"_checks", "_core", "_arrays", "_frozen"},
    "metrics": {"_arrays", "_checks", "_core", "_frozen", "errors", "losses"},
    "ops": {"_checks", "_core", "_arrays", "losses", "optim", "schedules"},
    "files": {"_checks", "_core", "_arrays"},
    "training": NUMERIC | {"data", "files"},
    "callbacks": {"training"},
    "nn": NUMERIC | {"training", "files"},
    "data": {"_borrowed", "_checks", "_core", "_elementary", "errors"},
    "_prepared": NUMERIC | {"data", "nn"},
    "tabular": NUMERIC | {"_prepared", "data", "nn", "training", "files"},
    "_show": set(),
    "_rows": NUMERIC | {"data", "nn", "tabular"},
    "explain": NUMERIC | {"_rows", "_show", "nn"},
    "calibration": NUMERIC | {"_rows", "_show", "files", "nn", "tabular"},
    "_predictor": NUMERIC | {"nn"},
    "models": {"_arrays", "calibration", "files", "nn", "tabular"},
    "diagnosis": NUMERIC | {"data", "nn", "training", "tabular"},
    "reporting": NUMERIC | {"data", "nn", "training", "tabular", "diagnosis", "explain", "calibration"},
    "tune": NUMERIC | {"_elementary", "_prepared", "data", "training", "files", "tabular", "callbacks"},
    "cli": NUMERIC
    | {"_prepared", "data", "nn", "training", "files", "tabular", "tune", "models", "reporting", "runtime"},
    "export": NUMERIC | {"_elementary", "_predictor", "data", "files", "nn", "tabular"},
    "sklearn": NUMERIC | {"_predictor", "nn", "training", "files", "runtime"},
    "__init__": NUMERIC
    | {"runtime", "ops", "nn", "training", "callbacks", "models", "data", "tabular", "tune", "export", "sklearn"}
    | {"calibration", "explain", "diagnosis", "reporting"},
    "__main__": {"cli"},
}

# Python: packages besides the standard library and numpy, and the rooms that may import them.
OUTSIDE = {
    "narwhals": {"data", "tabular"},
    "polars": {"data"},
    "pyarrow": {"data"},
    "safetensors": {"files", "export"},
    "IPython": {"training"},
    "matplotlib": {"_show", "calibration", "explain", "reporting", "training", "tune"},
    "mlflow": {"training"},
    "onnx": {"export"},
    "optuna": {"training"},
    "pandas": {"_show", "calibration", "explain", "training", "tune"},
    "tensorboard": {"training"},
    "typing_extensions": {"_frozen"},  # while types are checked
    "sklearn": {"sklearn"},
    "scipy": {"sklearn"},
    "threadpoolctl": {"sklearn"},
}


def cpp_sources():
    return [path for path in tracked_files() if path.suffix in {".h", ".cpp"} and path.is_relative_to(ROOT / "cpp")]


def includes(path):
    return re.findall(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', path.read_text(), re.MULTILINE)


def without_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


def test_the_core_has_only_the_rooms_of_the_table():
    rooms = {path.parent.relative_to(ROOT / "cpp").as_posix() for path in cpp_sources()}
    assert rooms <= set(CPP_ROOMS), "a new folder needs a line in CPP_ROOMS"
    assert {"core", "math", "device", "device/cpu", "graph", "engine", "bindings"} <= rooms


def test_includes_follow_the_arrows():
    wrong = []
    for path in cpp_sources():
        room = path.parent.relative_to(ROOT / "cpp").as_posix()
        for quote, header in includes(path):
            if quote != '"':
                continue
            assert (ROOT / "cpp" / header).is_file(), f"{path}: {header} is no path below cpp/"
            other = header.rpartition("/")[0]
            if other != room and other not in CPP_ROOMS[room]:
                wrong.append(f"{path.relative_to(ROOT)} includes {header}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("rooms", [CPP_ROOMS, PYTHON_ROOMS], ids=["C++", "Python"])
def test_the_arrows_point_one_way(rooms):
    for room in rooms:
        seen, ahead = set(), set(rooms[room])
        while ahead:
            other = ahead.pop()
            seen.add(other)
            ahead |= rooms[other] - seen
        assert room not in seen, room


@pytest.mark.parametrize("headers", HOMES)
def test_headers_stay_in_their_home(headers):
    wrong = [
        f"{path.relative_to(ROOT)} includes {header}"
        for path in cpp_sources()
        for _, header in includes(path)
        if re.fullmatch(headers, header) and not path.relative_to(ROOT).as_posix().startswith(HOMES[headers])
    ]
    assert not wrong, "\n".join(wrong)


def test_kernels_use_no_library_that_allocates_or_throws():
    wrong = [
        f"{path.relative_to(ROOT)} includes <{header}>"
        for path in cpp_sources()
        if path.parent == ROOT / "cpp/device/cpu/kernels"
        for quote, header in includes(path)
        if quote == "<" and header not in KERNEL_HEADERS
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", FORBIDDEN_WORDS)
def test_rooms_do_not_name_what_they_must_not_know(folder):
    wrong = [
        f"{path.relative_to(ROOT)}: {word[0]}"
        for path in cpp_sources()
        if path.is_relative_to(ROOT / folder)
        for word in re.finditer(FORBIDDEN_WORDS[folder], without_comments(path.read_text()))
    ]
    assert not wrong, "\n".join(wrong)


def test_a_backend_is_a_folder_not_a_condition():
    for path in cpp_sources():
        assert not re.search(r"^\s*#\s*if.*(CUDA|WHET_GPU)", path.read_text(), re.MULTILINE), path


def python_sources():
    return [path for path in tracked_files() if path.suffix == ".py" and path.is_relative_to(ROOT / "python/whet")]


def room_of(path):
    return path.relative_to(ROOT / "python/whet").parts[0].removesuffix(".py")


def imports(path):
    """(room of whet or None, outside package or None) of each import, those inside functions included."""
    package = ("whet", *path.relative_to(ROOT / "python/whet").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            modules = [f"{module}.{alias.name}" for alias in node.names] if module == "whet" else [module]
        else:
            continue
        for module in modules:
            top, _, rest = module.partition(".")
            if top == "whet":
                yield rest.partition(".")[0] or "whet", None
            else:
                yield None, top


def test_the_package_has_only_the_rooms_of_the_table():
    rooms = {room_of(path) for path in python_sources()}
    assert rooms <= set(PYTHON_ROOMS), "a new module needs a line in PYTHON_ROOMS"


def test_imports_follow_the_arrows():
    wrong = [
        f"{path.relative_to(ROOT)} imports whet.{other}"
        for path in python_sources()
        for other, _ in imports(path)
        if other and other != room_of(path) and other not in PYTHON_ROOMS.get(room_of(path), set())
    ]
    assert not wrong, "\n".join(wrong)


def test_outside_packages_enter_through_one_door():
    wrong = [
        f"{path.relative_to(ROOT)} imports {package}"
        for path in python_sources()
        for _, package in imports(path)
        if package
        and package not in sys.stdlib_module_names | {"numpy", "__future__"}
        and room_of(path) not in OUTSIDE.get(package, set())
    ]
    assert not wrong, "\n".join(wrong)


def test_no_file_is_longer_than_600_lines():
    code = {".py", ".pyi", ".h", ".cpp", ".txt", ".md", ".toml", ".yaml", ""}
    lengths = {
        path.relative_to(ROOT).as_posix(): len((text_of(path) or "").splitlines())
        for path in tracked_files()
        if path.suffix in code and path.name != "contract.txt"
    }
    assert not {name: length for name, length in lengths.items() if length > 600}


def tracked_lines():
    """(file, line number, line) of all tracked text but the data."""
    for path in tracked_files():
        name = path.relative_to(ROOT).as_posix()
        text = None if path.suffix in {".csv", ".gz"} else text_of(path)
        for number, line in enumerate((text or "").splitlines(), 1):
            yield name, number, line


def found(pattern, allowed=()):
    expression = re.compile(pattern)
    return [
        f"{name}:{number}: {line.strip()}"
        for name, number, line in tracked_lines()
        if name not in allowed and expression.search(line)
    ]


HERE = "tests/test_walls.py"
# What the compiler of a model that was written as C is told, or is told not to be.
OF_WRITTEN_MODELS = {
    "bench/bench_c.py",
    "docs/howto/c.md",
    "python/whet/export/c_source/file.py",
    "tests/test_c_source.py",
}


def test_instruction_sets_are_chosen_in_one_file():
    flags = r"-m(avx|fma|sse|tune|cpu|arch|f16c|bmi|prefer-vector)\w*"
    in_code = r"__attribute__.*\btarget\b|#pragma\s+GCC\s+(target|optimize)"
    assert not found(f"{flags}|{in_code}", {"cpp/CMakeLists.txt", HERE, *OF_WRITTEN_MODELS})


def test_no_flag_that_changes_what_arithmetic_means():
    flags = r"-ffast-math|-Ofast|-m(arch|tune)=native|-f(unsafe|finite|associative)-math|-ffp-contract=(fast|on)"
    assert not found(flags, {HERE, "CONTRIBUTING.md", *OF_WRITTEN_MODELS})


def test_nothing_is_left_undone():
    words = r"\b(TODO|FIXME|XXX|HACK|NotImplementedError|WIP)\b"
    assert not found(words, {HERE})


def test_no_path_of_a_machine():
    assert not found(r"(?<![\w.$}*])/(work|root|home|Users|tmp|opt|mnt)/[\w.]", {HERE})


SKIPS = {"skip", "skipif", "xfail", "importorskip", "skipTest"}


def skips_without_reason(tree):
    """Line numbers of pytest's skips and expected failures that carry no reason of a few words."""
    called = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SKIPS:
            called.add(id(node.func))
            reasons = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
            reasons += node.args[:1] if node.func.attr == "skip" else []
            if not any(isinstance(r, (ast.Constant, ast.JoinedStr)) and len(ast.unparse(r)) > 12 for r in reasons):
                yield node.lineno
    for node in ast.walk(tree):
        bare = isinstance(node, ast.Attribute) and node.attr in SKIPS and id(node) not in called
        if bare and ast.unparse(node.value).endswith("mark"):
            yield node.lineno


def test_every_skip_says_why():
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in tracked_files()
        if path.suffix == ".py"
        for line in skips_without_reason(ast.parse(path.read_text()))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("@pytest.mark.skip\ndef test(): pass", [1]),
        ("pytest.skip()", [1]),
        ("pytest.mark.skipif(True)", [1]),
        ("pytest.skip('this processor has no AVX-512')", []),
        ("pytest.mark.xfail(reason='a defect of NumPy 1.24')", []),
    ],
)
def test_the_test_of_skips_sees_them(source, lines):
    assert list(skips_without_reason(ast.parse(source))) == lines
