"""ts-jax keeps every promise of the contract."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ts_core.contract.tracing import Inputs
from ts_core.testing import WIDTH, FrameworkSuite, LayerCase, NetCase, TraceCase, public_classes

LAST = {"conv", "conv_transpose", "batch_norm", "instance_norm", "group_norm", "prelu"}  # kinds that have channels


class Classifier(nnx.Module):
    """Nested, out of alphabetical order, with buffers, and one layer used in two places."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.stem = nnx.List([nnx.Linear(3, WIDTH, rngs=rngs), nnx.BatchNorm(WIDTH, rngs=rngs)])
        self.head = nnx.Linear(WIDTH, WIDTH, use_bias=False, rngs=rngs)
        self.again = self.head
        self.dropout = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.stem:
            x = layer(x)
        return self.again(jnp.tanh(self.head(x)))


class Fork(nnx.Module):
    """Two outputs."""

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return x * 2, x - 1


class Branches(nnx.Module):
    """A tuple inside, a dict as answer, and a layer in two places that is called twice."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.body = nnx.Sequential(nnx.Linear(3, 3, rngs=rngs), nnx.BatchNorm(3, rngs=rngs))
        self.fork = Fork()
        self.shared = nnx.Linear(3, 3, rngs=rngs)
        self.again = self.shared

    def __call__(self, x: jax.Array, scale: float = 1.0) -> dict[str, Any]:
        one, other = self.fork(jnp.tanh(self.body(x)))
        return {"out": self.again(self.shared(one) * scale), "rest": (other, None)}


class Failing(nnx.Module):
    """The second layer of two does not fit the first."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.body = nnx.Sequential(nnx.Linear(3, 3, rngs=rngs), nnx.Linear(4, 4, rngs=rngs))

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.body(x)


class TestJax(FrameworkSuite):
    plugin = "ts_jax"
    framework = "jax"
    packages = ("jax", "jaxlib", "flax")
    dtypes = (
        *("float32", "float64", "float16", "bfloat16", "complex64", "complex128", "bool"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "int4", "uint4"),
        *("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e4m3b11fnuz"),
    )
    zero_copy = dtypes
    absent: ClassVar = {
        "seed": "random keys are explicit, there is no global generator",
        "file format": "Flax has no single-file format, checkpoints are folders of other libraries",
    }
    gaps: ClassVar = {
        "flax.nnx.LinearGeneral": "axes are chosen at will; known inside MultiHeadAttention",
        "flax.nnx.Einsum": "the equation decides what the axes mean",
        "flax.nnx.LoRA": "an addition to another layer",
        "flax.nnx.LoRALinear": "an addition to another layer",
        "flax.nnx.SpectralNorm": "wraps another layer, which has its own rule",
        "flax.nnx.WeightNorm": "wraps another layer, which has its own rule",
    }

    def tensor(self, array: np.ndarray) -> Any:
        with jax.enable_x64(True):
            return jnp.array(array)

    def without_dense_array(self) -> Iterable[object]:
        yield jax.random.key(0)
        tracers: list[object] = []
        jax.make_jaxpr(tracers.append)(1.0)
        yield from tracers

    def nets(self) -> Iterable[NetCase]:
        stem, norm = "stem.0", "stem.1"
        yield NetCase(
            lambda: Classifier(nnx.Rngs(0)),
            [
                (f"{stem}.kernel", stem, "linear", "weight"),
                (f"{stem}.bias", stem, "linear", "bias"),
                (f"{norm}.mean", norm, "batch_norm2d", "mean"),
                (f"{norm}.var", norm, "batch_norm2d", "variance"),
                (f"{norm}.scale", norm, "batch_norm2d", "scale"),
                (f"{norm}.bias", norm, "batch_norm2d", "bias"),
                ("head.kernel", "head", "linear", "weight"),
                ("again.kernel", "again", "linear", "weight"),
            ],
            layers=["", "stem", "stem.0", "stem.1", "head", "again", "dropout"],
        )
        yield NetCase(
            lambda: nnx.Embed(5, WIDTH, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0)),
            [("embedding", "", "embedding", "weight")],
        )

    def layers(self) -> Iterable[LayerCase]:
        w = WIDTH
        rngs = nnx.Rngs(0)
        attention = {"num_heads": 2, "in_features": w, "decode": False}
        yield LayerCase("linear", lambda: nnx.Linear(w, w, rngs=rngs))
        for n in (1, 2, 3):
            window = (w,) * n
            yield LayerCase(f"conv{n}d", lambda k=window: nnx.Conv(w, w, k, padding="VALID", rngs=rngs))
            for adjoint in (False, True):
                options = {"padding": "VALID", "transpose_kernel": adjoint, "rngs": rngs}
                yield LayerCase(f"conv_transpose{n}d", lambda k=window, o=options: nnx.ConvTranspose(w, w, k, **o))
        yield LayerCase("batch_norm2d", lambda: nnx.BatchNorm(w, epsilon=1e-5, rngs=rngs))
        yield LayerCase("instance_norm2d", lambda: nnx.InstanceNorm(w, epsilon=1e-5, rngs=rngs))
        yield LayerCase("group_norm", lambda: nnx.GroupNorm(w, 2, epsilon=1e-5, rngs=rngs))
        yield LayerCase("layer_norm", lambda: nnx.LayerNorm(w, epsilon=1e-5, rngs=rngs))
        yield LayerCase("rms_norm", lambda: nnx.RMSNorm(w, epsilon=1e-5, rngs=rngs))
        yield LayerCase("embedding", lambda: nnx.Embed(w, w, rngs=rngs))
        yield LayerCase("prelu", lambda: nnx.PReLU())
        yield LayerCase("multi_head_attention", lambda: nnx.MultiHeadAttention(**attention, rngs=rngs))
        yield LayerCase("lstm_cell", lambda: nnx.OptimizedLSTMCell(w, w, rngs=rngs))
        yield LayerCase("lstm_cell", lambda: nnx.LSTMCell(w, w, rngs=rngs))
        yield LayerCase("gru_cell", lambda: nnx.GRUCell(w, w, rngs=rngs))
        yield LayerCase("rnn_cell", lambda: nnx.SimpleCell(w, w, rngs=rngs))

    def run(self, kind: str, layer: Any, *inputs: np.ndarray) -> Any:
        layer.eval()
        if kind == "lstm_cell":
            x, hidden, cell = inputs
            (cell, hidden), _ = layer((cell, hidden), x)
            return np.asarray(hidden), np.asarray(cell)
        if kind in ("gru_cell", "rnn_cell"):
            x, hidden = inputs
            return np.asarray(layer(hidden, x)[0])
        if kind.rstrip("123d") in LAST:
            return np.moveaxis(np.asarray(layer(np.moveaxis(inputs[0], 1, -1))), -1, 1)
        return np.asarray(layer(*inputs))

    def layer_classes(self) -> Iterable[type]:
        bare = {"Dict", "Dropout", "List", "Sequential", "RNN", "RNNCellBase", "Bidirectional"}
        return [cls for cls in public_classes(nnx, nnx.Module) if cls.__name__ not in bare]

    @staticmethod
    def _loss(net: Classifier) -> jax.Array:
        inputs = jnp.linspace(-1, 1, 15).reshape(5, 3)
        net.set_attributes(use_running_average=False, raise_if_not_found=False)
        return (net(inputs) * jnp.linspace(-1, 1, WIDTH)).sum()

    def loss(self, net: Any) -> float:
        return float(self._loss(net))

    def backward(self, net: Any) -> object:
        return nnx.grad(self._loss)(net)

    def backward_through(self, watch: Callable[[Any], Any], array: np.ndarray) -> np.ndarray:
        gradient = jax.jit(jax.grad(lambda x: (watch(x) ** 2).sum()))(array)
        jax.effects_barrier()  # callbacks of compiled code run on their own time
        return np.asarray(gradient)

    def trace_nets(self) -> Iterable[TraceCase]:
        x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
        body = [("", None), ("body", 0), ("body.layers.0", 1), ("body.layers.1", 1)]
        yield TraceCase(
            lambda: Branches(nnx.Rngs(0)),
            Inputs((x,), {"scale": 0.5}),
            [*body, ("fork", 0), ("shared", 0), ("shared", 0)],
        )
        yield TraceCase(lambda: Failing(nnx.Rngs(0)), Inputs((x,)), body, fails="body.layers.1")
