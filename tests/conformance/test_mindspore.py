"""The MindSpore plug-in keeps every promise of the contract."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from ts_core.contract.tracing import Inputs
from ts_core.testing import EPSILON, WIDTH, FrameworkSuite, LayerCase, NetCase, TraceCase, public_classes

ms = pytest.importorskip("mindspore")
ts_mindspore = pytest.importorskip("ts_mindspore")
nn, mint = ms.nn, ms.mint.nn

EXTENDED = ("bfloat16", "float8_e4m3fn", "float8_e5m2")
TRAINING = ("mindspore.nn.optim.", "mindspore.nn.wrap.")  # optimizers and wrappers are cells, too, but no layers
THOR = "an optimizer's variant of a layer; needs an accelerator"


class Classifier(nn.Cell):
    """Nested, out of alphabetical order, with buffers, and one layer used in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.SequentialCell(nn.Dense(3, WIDTH), nn.BatchNorm1d(WIDTH))
        self.head = nn.Dense(WIDTH, WIDTH, has_bias=False)
        self.again = self.head

    def construct(self, x):
        return self.again(ms.ops.tanh(self.head(self.stem(x))))


class Fork(nn.Cell):
    """Two outputs."""

    def construct(self, x):
        return x * 2, x - 1


class Branches(nn.Cell):
    """A tuple inside, a dict as answer, a layer in two places that is called twice, and one that is frozen apart."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.SequentialCell(nn.Dense(3, 3), nn.BatchNorm1d(3), nn.Tanh())
        self.fork = Fork()
        self.shared = nn.Dense(3, 3)
        self.again = self.shared

    def construct(self, x, scale=1.0):
        one, other = self.fork(self.body(x))
        return {"out": self.again(self.shared(one) * scale), "rest": (other, None)}


class Failing(nn.Cell):
    """The second layer of two does not fit the first."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.SequentialCell(nn.Dense(3, 3), nn.Dense(4, 4))

    def construct(self, x):
        return self.body(x)


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
    unproved: ClassVar = {
        "mindspore.nn.SyncBatchNorm": "needs a group of devices",
        "mindspore.mint.nn.SyncBatchNorm": "needs a group of devices",
        "mindspore.nn.MultiFieldEmbeddingLookup": "needs the indices of fields, and an accelerator",
        **dict.fromkeys([f"mindspore.nn.{n}Thor" for n in ("Dense", "Conv2d", "Embedding", "EmbeddingLookup")], THOR),
    }

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
            layers=["", "stem", "stem.0", "stem.1", "head", "again"],
        )
        yield NetCase(
            lambda: nn.Embedding(5, WIDTH, dtype=ms.bfloat16), [("embedding_table", "", "embedding", "weight")]
        )

    def layers(self) -> Iterable[LayerCase]:  # `runs=False`: MindSpore 2.10 has no kernel for it on CPU
        w = WIDTH
        valid = {"pad_mode": "valid", "has_bias": True}
        yield LayerCase("linear", lambda: nn.Dense(w, w))
        yield LayerCase("linear", lambda: mint.Linear(w, w))
        yield LayerCase("bilinear", lambda: nn.BiDense(w, w, w))
        for n in (1, 2, 3):
            yield LayerCase(f"conv{n}d", lambda n=n: getattr(nn, f"Conv{n}d")(w, w, w, **valid))
            yield LayerCase(f"conv{n}d", lambda n=n: getattr(nn, f"Conv{n}d")(w, w, w, group=2, **valid), runs=n < 3)
            yield LayerCase(f"conv{n}d", lambda n=n: getattr(mint, f"Conv{n}d")(w, w, w), runs=False)
            yield LayerCase(f"conv_transpose{n}d", lambda n=n: getattr(nn, f"Conv{n}dTranspose")(w, w, w, **valid))
            yield LayerCase(f"batch_norm{n}d", lambda n=n: getattr(nn, f"BatchNorm{n}d")(w))
            yield LayerCase(f"batch_norm{n}d", lambda n=n: getattr(mint, f"BatchNorm{n}d")(w), runs=False)
            yield LayerCase(f"instance_norm{n}d", lambda n=n: getattr(nn, f"InstanceNorm{n}d")(w), runs=False)
        yield LayerCase("conv_transpose2d", lambda: mint.ConvTranspose2d(w, w, w), runs=False)
        yield LayerCase("group_norm", lambda: nn.GroupNorm(2, w, eps=EPSILON))
        yield LayerCase("group_norm", lambda: mint.GroupNorm(2, w, eps=EPSILON))
        yield LayerCase("layer_norm", lambda: mint.LayerNorm(w, eps=EPSILON), runs=False)
        yield LayerCase("embedding", lambda: mint.Embedding(w, w), runs=False)
        yield LayerCase("embedding", lambda: nn.EmbeddingLookup(w, w))
        yield LayerCase("prelu", lambda: mint.PReLU(w))
        yield LayerCase("layer_norm", lambda: nn.LayerNorm((w,), epsilon=EPSILON))
        yield LayerCase("embedding", lambda: nn.Embedding(w, w))
        yield LayerCase("prelu", lambda: nn.PReLU(w))
        for name in ("RNN", "GRU", "LSTM"):
            yield LayerCase(name.lower(), lambda name=name: getattr(nn, name)(w, w, batch_first=True))
            both = {"num_layers": 2, "bidirectional": True, "batch_first": True}
            yield LayerCase(name.lower(), lambda name=name, both=both: getattr(nn, name)(w, w, **both))
            yield LayerCase(f"{name.lower()}_cell", lambda name=name: getattr(nn, f"{name}Cell")(w, w))
        yield LayerCase("multi_head_attention", lambda: nn.MultiheadAttention(w, 2, batch_first=True))
        yield LayerCase("transformer_encoder_layer", lambda: nn.TransformerEncoderLayer(w, 2, 8))
        yield LayerCase("transformer_decoder_layer", lambda: nn.TransformerDecoderLayer(w, 2, 8))

    def run(self, kind: str, layer: Any, *inputs: np.ndarray) -> Any:
        tensors = [ms.Tensor(x) for x in inputs]
        if kind == "lstm_cell":
            tensors = [tensors[0], tuple(tensors[1:])]
        if kind == "multi_head_attention":
            tensors *= 3
        output = layer.set_train(False)(*tensors)
        if kind in ("rnn", "gru", "lstm", "multi_head_attention"):
            output = output[0]
        return tuple(part.asnumpy() for part in output) if isinstance(output, tuple) else output.asnumpy()

    def layer_classes(self) -> Iterable[type]:
        of_nn = public_classes(nn, nn.Cell, ["Parameter("])
        of_mint = public_classes(mint, nn.Cell, ["Parameter(", "register_buffer("])
        return [cls for cls in of_nn + of_mint if not cls.__module__.startswith(TRAINING)]

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

    def framework_file(self, net: Any, path: Path) -> None:
        ms.save_checkpoint(net, str(path))

    def framework_load(self, path: Path) -> dict[str, np.ndarray]:
        return {n: ts_mindspore.tensor_to_numpy(p) for n, p in ms.load_checkpoint(str(path)).items()}

    def state(self, net: Any) -> dict[str, object]:
        own = ("_init_flag", "_is_check_and_refresh", "_func_graph_flags)")  # what a cell notes at its first call
        return {place: value for place, value in super().state(net).items() if not place.endswith(own)}

    def trace_nets(self) -> Iterable[TraceCase]:
        x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
        yield TraceCase(
            Branches,
            Inputs((x,), {"scale": 0.5}),
            [
                *(("", None), ("body", 0), ("body.0", 1), ("body.1", 1), ("body.2", 1)),
                *(("fork", 0), ("shared", 0), ("shared", 0)),
            ],
        )
        yield TraceCase(Failing, Inputs((x,)), [("", None), ("body", 0), ("body.0", 1), ("body.1", 1)], fails="body.1")
