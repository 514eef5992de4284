"""The MindSpore plug-in keeps every promise of the contract."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest

from ts_core.testing import WIDTH, FrameworkSuite, LayerCase, NetCase, public_classes

ms = pytest.importorskip("mindspore")
nn = ms.nn

EXTENDED = {"bfloat16": "bfloat16", "float8_e4m3fn": "float8_e4m3fn", "float8_e5m2": "float8_e5m2"}


class Classifier(nn.Cell):
    """Nested, out of alphabetical order, with buffers, and one layer used in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.SequentialCell(nn.Dense(3, WIDTH), nn.BatchNorm1d(WIDTH))
        self.head = nn.Dense(WIDTH, WIDTH, has_bias=False)
        self.again = self.head

    def construct(self, x):
        return self.again(ms.ops.tanh(self.head(self.stem(x))))


class TestMindSpore(FrameworkSuite):
    plugin = "ts_mindspore"
    framework = "mindspore"
    packages = ("mindspore",)
    dtypes = (
        *("float32", "float64", "float16", "complex64", "complex128", "bool"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *EXTENDED,
    )
    zero_copy = dtypes

    def tensor(self, array: np.ndarray) -> Any:
        if array.dtype.name in EXTENDED:
            raw = ms.Tensor.convert_bytes_to_tensor(array.tobytes(), array.shape, getattr(ms, array.dtype.name))
            return ms.Tensor(raw)
        return ms.Tensor(array)

    def views(self, tensor: Any) -> Iterator[Any]:
        if "Float8" not in str(tensor.dtype):  # MindSpore itself cannot take a view of those
            yield from super().views(tensor)

    def without_dense_array(self) -> Iterable[object]:
        indices = ms.Tensor([[0, 1], [1, 2]], ms.int32)
        yield ms.COOTensor(indices, ms.Tensor([1.0, 2.0], ms.float32), (3, 4))

    def nets(self) -> Iterable[NetCase]:
        stem, norm = "stem.0", "stem.1"
        yield NetCase(
            Classifier,
            [
                (f"{stem}.weight", stem, "linear", "weight"),
                (f"{stem}.bias", stem, "linear", "bias"),
                (f"{norm}.moving_mean", norm, "batch_norm1d", "mean"),
                (f"{norm}.moving_variance", norm, "batch_norm1d", "variance"),
                (f"{norm}.gamma", norm, "batch_norm1d", "scale"),
                (f"{norm}.beta", norm, "batch_norm1d", "bias"),
                ("again.weight", "head", "linear", "weight"),  # the last attribute gives a parameter its name
                ("again.weight", "again", "linear", "weight"),
            ],
        )
        yield NetCase(
            lambda: nn.Embedding(5, WIDTH, dtype=ms.bfloat16), [("embedding_table", "", "embedding", "weight")]
        )

    def layers(self) -> Iterable[LayerCase]:
        w = WIDTH
        valid = {"pad_mode": "valid", "has_bias": True}
        yield LayerCase("linear", lambda: nn.Dense(w, w))
        yield LayerCase("conv1d", lambda: nn.Conv1d(w, w, w, **valid))
        yield LayerCase("conv2d", lambda: nn.Conv2d(w, w, w, **valid))
        yield LayerCase("conv3d", lambda: nn.Conv3d(w, w, w, **valid))
        yield LayerCase("batch_norm1d", lambda: nn.BatchNorm1d(w))
        yield LayerCase("batch_norm2d", lambda: nn.BatchNorm2d(w))
        yield LayerCase("batch_norm3d", lambda: nn.BatchNorm3d(w))
        yield LayerCase("layer_norm", lambda: nn.LayerNorm((w,), epsilon=1e-5))
        yield LayerCase("embedding", lambda: nn.Embedding(w, w))
        yield LayerCase("prelu", lambda: nn.PReLU(w))

    def run(self, kind: str, layer: Any, *inputs: np.ndarray) -> Any:
        return layer.set_train(False)(*map(ms.Tensor, inputs)).asnumpy()

    def layer_classes(self) -> Iterable[type]:
        return [
            *public_classes(nn, nn.Cell, ["Parameter("]),
            *public_classes(ms.mint.nn, nn.Cell, ["Parameter(", "register_buffer("]),
        ]

    def loss(self, net: Any) -> float:
        return float(self._loss(net).asnumpy())

    def _loss(self, net: Any) -> Any:
        inputs = ms.Tensor(np.linspace(-1, 1, 15, dtype=np.float32).reshape(5, 3))
        weights = ms.Tensor(np.linspace(-1, 1, WIDTH, dtype=np.float32))
        return (net.set_train()(inputs) * weights).sum()

    def backward(self, net: Any) -> object:
        return ms.grad(lambda: self._loss(net), None, net.trainable_params())()

    def backward_through(self, watch: Callable[[Any], Any], array: np.ndarray) -> np.ndarray:
        return ms.grad(lambda x: ms.ops.square(watch(x)).sum())(ms.Tensor(array)).asnumpy()

    def random(self) -> np.ndarray:
        return ms.ops.rand(4).asnumpy()
