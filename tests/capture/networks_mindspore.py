"""Run by test_save_mindspore.py in a process of its own, once a mode: ``python networks_mindspore.py PYNATIVE_MODE``.

Each function below saves into a folder of its name; what it returns goes to stdout as JSON.
"""

import json
import sys
import warnings

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

import ts_core as ts

ms.set_context(mode=getattr(ms, sys.argv[1]))


class SaveAny(nn.Cell):
    def __init__(self, file, suffix=None, output_mode="npy"):
        super().__init__()
        self.file = file
        self.suffix = suffix
        self.output_mode = output_mode

    def construct(self, data):
        ts.save(self.file, {"a": [1, data]}, self.suffix, output_mode=self.output_mode)
        return 0


class SaveAsItIs(nn.Cell):
    def construct(self, data):
        ts.save("leaves/t", data, suffix="s")
        return 0


def leaves():
    net = SaveAsItIs()
    net((Tensor([[1.5, 2]], ms.bfloat16), [Tensor(2, ms.bfloat16), {"k": Tensor([True, False])}]))
    net((Tensor(3, ms.uint8), Tensor(2.5, ms.float16), Tensor(True), Tensor(np.complex64(1 + 2j))))
    net([Tensor(np.zeros((0, 3), np.float32)), Tensor([[1]], ms.int16), Tensor(2.5, ms.float64)])
    net((1, None, 2.5, True))
    net(None)


class Inner(nn.Cell):
    def construct(self, x):
        ts.save("order/inner", x)
        return x + 1


class Outer(nn.Cell):
    def __init__(self):
        super().__init__()
        self.inner = Inner()

    def construct(self, x):
        for i in range(2):
            ts.save(f"order/loop{i}", x)
            x = self.inner(x)
        while x.sum() < 10:
            ts.save("order/while", x)
            x = x * 2
        if x.sum() > 10:
            ts.save("order/if", x)
        return x


def order():
    net = Outer()
    net(Tensor([1.0, 1.0]))
    net(Tensor([2.0, 2.0]))


class Assigns(nn.Cell):
    def __init__(self):
        super().__init__()
        self.p = ms.Parameter(Tensor([1.0, 1.0]), name="p")

    def construct(self, x):
        ts.save("in_place/before", self.p)
        ops.assign(self.p, x)
        ts.save("in_place/after", self.p)
        self.p = self.p + 1
        ts.save("in_place/last", self.p)
        return self.p


def in_place():
    Assigns()(Tensor([5.0, 6.0]))


@ms.jit
def compiled(x):
    ts.save("jit/t", {"a": x, "b": [x, 3]})
    return x + 1


def jit():
    compiled(Tensor([1.0]))
    compiled(Tensor([2.0]))


def printed():
    SaveAny("printed/t", "s", "print")(Tensor([1.0, 2.0]))


def error_of(file, output_mode, data):
    try:
        SaveAny(file, output_mode=output_mode)(data)
    except Exception as problem:
        return [base.__name__ for base in type(problem).__mro__], str(problem)
    return None


def errors():
    open("blocker", "w").close()  # noqa: PTH123
    return [
        error_of("errors/", "npy", Tensor([1.0])),
        error_of("errors/t", "json", Tensor([1.0])),
        error_of("errors/t", "npy", "text"),
        error_of("blocker/t", "npy", Tensor([1.0])),
    ]


def unknown_shape():
    net = SaveAny("unknown_shape/t")
    net.set_inputs(Tensor(shape=[None], dtype=ms.float32))
    try:
        net(Tensor([1.0]))
    except TypeError as problem:
        return str(problem)


class Plain(nn.Cell):
    def __init__(self):
        super().__init__()
        self.layer = nn.Dense(2, 2)
        self.extra = ms.Parameter(ops.zeros((1, 2), ms.float32), name="extra")

    def construct(self, x):
        hidden = self.layer(x)
        tapped = hidden + self.extra
        return (tapped * tapped).sum() + (tapped * 3).sum() + (hidden * 100).sum()


class Tapped(Plain):
    def construct(self, x):
        hidden = self.layer(x)
        tapped = ts.save_grad("gradient/t", hidden + self.extra)
        return (tapped * tapped).sum() + (tapped * 3).sum() + (hidden * 100).sum()


def gradient():
    plain, tapped = Plain(), Tapped()
    ms.load_param_into_net(tapped, plain.parameters_dict())
    x = Tensor([[1.0, 2.0]])
    results = []
    for net in (plain, tapped, tapped):
        loss, gradients = ms.value_and_grad(net, None, net.trainable_params())(x)
        results.append([loss.item(), {k: v.tolist() for k, v in ts.gradients(gradients, net).items()}])
    assert results[0] == results[1] == results[2]
    return results[0][1]["extra"]


class Trained(Plain):
    def construct(self, x):
        return ts.save_grad("training_step/t", self.layer(x) + self.extra).sum()


trained = Trained()
weights = ms.ParameterTuple(trained.trainable_params())
optimizer = nn.SGD(weights, 0.0)


@ms.jit
def step(x):
    loss, gradients = ms.value_and_grad(trained, None, weights)(x)
    optimizer(gradients)
    ts.save("training_step/all", gradients)
    return loss


def training_step():
    step(Tensor([[1.0, 2.0]]))
    step(Tensor([[3.0, 4.0]]))


class Dtypes(nn.Cell):
    def construct(self, x):
        scalar = ts.save_grad("gradient_dtypes/scalar", x.sum(), suffix=None)
        half = ts.save_grad("gradient_dtypes/half", x.astype(ms.bfloat16), "s")
        return scalar * scalar + half.astype(ms.float32).sum()


def gradient_dtypes():
    ms.grad(Dtypes())(Tensor([1.0, 2.0]))


class Unreached(nn.Cell):
    def construct(self, x):
        return ts.save_grad("no_gradient/t", x) + 1


def no_gradient():
    found = []
    for data in (Tensor([1, 2]), Tensor([1.0, 2.0])):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            Unreached()(data)
        found.append([str(warning.message) for warning in caught if warning.category is ts.errors.CaptureWarning])
    return found


SECTIONS = (
    leaves,
    order,
    in_place,
    jit,
    printed,
    errors,
    unknown_shape,
    gradient,
    training_step,
    gradient_dtypes,
    no_gradient,
)

if __name__ == "__main__":
    for section in SECTIONS:
        result = section()
        print(json.dumps([section.__name__, result]))
