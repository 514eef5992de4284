"""The PyTorch plug-in keeps every promise of the contract."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from ts_core.testing import WIDTH, FrameworkSuite, LayerCase, NetCase, public_classes

torch = pytest.importorskip("torch")
nn = torch.nn

EXTENDED = ("bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu")


class Classifier(nn.Module):
    """Nested, out of alphabetical order, with buffers, and one layer used in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(3, WIDTH), nn.BatchNorm1d(WIDTH))
        self.head = nn.Linear(WIDTH, WIDTH, bias=False)
        self.again = self.head

    def forward(self, x):
        return self.again(torch.tanh(self.head(self.stem(x))))


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
class TestTorch(FrameworkSuite):
    plugin = "ts_torch"
    framework = "torch"
    packages = ("torch",)
    dtypes = (
        *("float32", "float64", "float16", "complex64", "complex128", "bool"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *EXTENDED,
    )
    zero_copy = dtypes

    def tensor(self, array: np.ndarray) -> Any:
        if array.dtype.name in EXTENDED:
            return torch.tensor(array.astype(np.float32)).to(getattr(torch, array.dtype.name))
        return torch.tensor(array)

    def without_dense_array(self) -> Iterable[object]:
        yield torch.eye(3).to_sparse()
        yield torch.ones(2, device="meta")
        yield torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)

    def nets(self) -> Iterable[NetCase]:
        stem, norm = "stem.0", "stem.1"
        yield NetCase(
            Classifier,
            [
                (f"{stem}.weight", stem, "linear", "weight"),
                (f"{stem}.bias", stem, "linear", "bias"),
                (f"{norm}.weight", norm, "batch_norm1d", "scale"),
                (f"{norm}.bias", norm, "batch_norm1d", "bias"),
                (f"{norm}.running_mean", norm, "batch_norm1d", "mean"),
                (f"{norm}.running_var", norm, "batch_norm1d", "variance"),
                (f"{norm}.num_batches_tracked", norm, "batch_norm1d", "batch_count"),
                ("head.weight", "head", "linear", "weight"),
                ("again.weight", "again", "linear", "weight"),
            ],
        )
        yield NetCase(lambda: nn.Embedding(5, WIDTH, dtype=torch.bfloat16), [("weight", "", "embedding", "weight")])

    def layers(self) -> Iterable[LayerCase]:
        w = WIDTH
        yield LayerCase("linear", lambda: nn.Linear(w, w))
        yield LayerCase("conv1d", lambda: nn.Conv1d(w, w, w))
        yield LayerCase("conv2d", lambda: nn.Conv2d(w, w, w))
        yield LayerCase("conv3d", lambda: nn.Conv3d(w, w, w))
        yield LayerCase("batch_norm1d", lambda: nn.BatchNorm1d(w))
        yield LayerCase("batch_norm2d", lambda: nn.BatchNorm2d(w))
        yield LayerCase("batch_norm3d", lambda: nn.BatchNorm3d(w))
        yield LayerCase("layer_norm", lambda: nn.LayerNorm(w))
        yield LayerCase("embedding", lambda: nn.Embedding(w, w))
        yield LayerCase("prelu", lambda: nn.PReLU(w))

    def run(self, kind: str, layer: Any, *inputs: np.ndarray) -> Any:
        with torch.no_grad():
            return layer.eval()(*map(torch.from_numpy, inputs)).numpy()

    def layer_classes(self) -> Iterable[type]:
        return public_classes(nn, nn.Module, ["Parameter(", "register_buffer("])

    def loss(self, net: Any) -> float:
        return self._loss(net).item()

    def _loss(self, net: Any) -> Any:
        inputs = torch.linspace(-1, 1, 15).reshape(5, 3)
        return (net.train()(inputs) * torch.linspace(-1, 1, WIDTH)).sum()

    def backward(self, net: Any) -> object:
        self._loss(net).backward()
        return net

    def backward_through(self, watch: Callable[[Any], Any], array: np.ndarray) -> np.ndarray:
        x = torch.tensor(array, requires_grad=True)
        watch(x).square().sum().backward()
        return x.grad.numpy()

    def random(self) -> np.ndarray:
        return torch.rand(4).numpy()
