"""Parameters in the formats of others."""

import numpy as np
import pytest

from whet import TabularModel, export, nn


@pytest.fixture
def model():
    return nn.MLP(4, (5,), 3).initialize(1)


def test_safetensors_round_trip(model, tmp_path):
    export.to_safetensors(model, tmp_path / "m.safetensors")
    other = nn.MLP(4, (5,), 3).initialize(2)
    export.from_safetensors(other, tmp_path / "m.safetensors")
    assert other.fingerprint() == model.fingerprint()


def test_safetensors_is_what_pytorch_reads(model, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: the peer of this test")
    from safetensors.torch import load_file

    export.to_safetensors(model, tmp_path / "m.safetensors")
    peer = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    peer.load_state_dict(load_file(tmp_path / "m.safetensors"))
    X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    np.testing.assert_allclose(peer(torch.tensor(X)).detach().numpy(), model.predict(X), rtol=1e-5, atol=1e-6)


def test_damaged_file_changes_nothing(model, tmp_path):
    path = tmp_path / "m.safetensors"
    export.to_safetensors(model, path)
    path.write_bytes(path.read_bytes()[:-7])
    before = model.fingerprint()
    with pytest.raises(ValueError, match="expected a safetensors file"):
        export.from_safetensors(model, path)
    assert model.fingerprint() == before
    with pytest.raises(OSError, match="missing"):
        export.from_safetensors(model, tmp_path / "missing")


@pytest.mark.parametrize("function", [export.to_safetensors, export.from_safetensors])
def test_what_is_no_module_or_no_path_is_refused(model, function, tmp_path):
    with pytest.raises(
        TypeError, match=r"safetensors\] expected an nn.Module( or an estimator of whet.sklearn)?, got str$"
    ):
        function("model", tmp_path / "m")
    with pytest.raises(TypeError, match="got TabularModel; that of a TabularModel is its `network`"):
        function(TabularModel("y"), tmp_path / "m")
    with pytest.raises(TypeError, match=r"expected a path, as text or os\.PathLike, got NoneType"):
        function(model, None)


def test_other_shapes_are_refused(model, tmp_path):
    export.to_safetensors(model, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"expected 0\.weight with shape \(6, 4\), got \(5, 4\)"):
        export.from_safetensors(nn.MLP(4, (6,), 3), tmp_path / "m.safetensors")


def network(library):
    """Equal models of whet and PyTorch, with all kinds of state that a Sequential may have."""
    body = library.Sequential(library.Linear(4, 6), library.BatchNorm1d(6), library.GELU(), library.PReLU())
    tail = library.Linear(6, 5, bias=False), library.LayerNorm(5), library.RMSNorm(5, eps=1e-6), library.Dropout(0.1)
    return library.Sequential(body, library.GroupNorm(2, 6), *tail, library.Linear(5, 3))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_what_pytorch_saves_is_loaded_and_loads_again(torch, tmp_path, dtype):
    from safetensors.torch import load_file, save_file

    path = tmp_path / "m.safetensors"
    X = torch.randn(32, 4)
    peer = network(torch.nn)
    peer(X)  # moves the running statistics
    peer = peer.to(getattr(torch, dtype)).eval()
    save_file(peer.state_dict(), path)
    model = network(nn)
    export.from_safetensors(model, path)
    assert list(model.state_dict()) == list(peer.state_dict())
    for name, value in peer.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], value.to(torch.float32).numpy())
    with torch.no_grad():
        np.testing.assert_allclose(model.predict(X), peer.float()(X), rtol=1e-5, atol=1e-5)

    export.to_safetensors(model, path)
    again = network(torch.nn)
    assert str(again.load_state_dict(load_file(path))) == "<All keys matched successfully>"
    for name, value in peer.state_dict().items():
        assert torch.equal(again.state_dict()[name].float(), value.float())


def test_a_dtype_that_is_neither_numpys_nor_bfloat16_is_refused(torch, model, tmp_path):
    from safetensors.torch import save_file

    before, small = model.fingerprint(), torch.float8_e4m3fn
    tensors = {name: torch.tensor(value).to(small) for name, value in model.state_dict().items()}
    save_file(tensors, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"expected \d\.\w+ in BF16, F64, .*; got F8_E4M3"):
        export.from_safetensors(model, tmp_path / "m.safetensors")
    assert model.fingerprint() == before
