"""Parameters in the formats of others."""

import numpy as np
import pytest

from whet import export, nn


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


def test_other_shapes_are_refused(model, tmp_path):
    export.to_safetensors(model, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"expected 0\.weight with shape \(6, 4\), got \(5, 4\)"):
        export.from_safetensors(nn.MLP(4, (6,), 3), tmp_path / "m.safetensors")
