"""Saving from MindSpore, eagerly and from compiled graphs, each mode in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ts_core as ts

pytest.importorskip("mindspore")

MODES = ["GRAPH_MODE", "PYNATIVE_MODE"]
QUIET = {**os.environ, "GLOG_v": "3"}
NETWORKS = Path(__file__).with_name("networks_mindspore.py")


class Run:
    """What networks_mindspore.py printed, returned and saved."""

    def __init__(self, mode, folder):
        process = subprocess.run(
            [sys.executable, str(NETWORKS), mode], capture_output=True, text=True, cwd=folder, env=QUIET
        )
        assert process.returncode == 0, process.stderr[-4000:]
        lines = process.stdout.splitlines()
        self.compiles = mode == "GRAPH_MODE"
        self.results = dict(json.loads(line) for line in lines if line.startswith('["'))
        self.printed = [line for line in lines if not line.startswith('["')]
        self.folder = folder

    def arrays(self, section):
        files = sorted((self.folder / section).glob("*"), key=lambda path: int(path.stem.rpartition("_")[2]))
        return [(path.stem.rpartition("_")[0], np.load(path)) for path in files]

    def lists(self, section):
        return [(name, array.tolist()) for name, array in self.arrays(section)]


@pytest.fixture(scope="module", params=MODES)
def run(request, tmp_path_factory):
    return Run(request.param, tmp_path_factory.mktemp(request.param))


GUIDE = """
from pathlib import Path
{imports}
from mindspore import nn, Tensor
ms.set_context(mode=ms.{mode})

class NetWorkSave(nn.Cell):
    def __init__(self, file):
        super(NetWorkSave, self).__init__()
        self.file = file

    def construct(self, x):
        ts.save(self.file, x)
        return x

x1 = Tensor(-0.5962, ms.float32)
x2 = Tensor(0.4985, ms.float32)
path = Path('save_ms')
net = NetWorkSave(str(path / "ms_tensor"))

out1 = net(x1)
out2 = net(x2)
out3 = net([x1, x2])
out4 = net({{"x1": x1, "x2":x2}})
"""
IMPORTS = ["import ts_core as ts\nimport mindspore as ms", "import mindspore as ms\nimport ts_core as ts"]


@pytest.mark.parametrize("imports", IMPORTS, ids=["core_first", "mindspore_first"])
@pytest.mark.parametrize("mode", MODES)
def test_guide_scenario_3(tmp_path, mode, imports):
    script = tmp_path / "script.py"  # MindSpore's parser reads the source
    script.write_text(GUIDE.format(mode=mode, imports=imports))
    subprocess.run([sys.executable, str(script)], check=True, cwd=tmp_path, env=QUIET)
    x1, x2 = np.float32(-0.5962), np.float32(0.4985)
    expected = {
        "ms_tensor_float32_0.npy": x1,
        "ms_tensor_float32_1.npy": x2,
        "ms_tensor.0_float32_2.npy": x1,
        "ms_tensor.1_float32_3.npy": x2,
        "ms_tensor.x1_float32_4.npy": x1,
        "ms_tensor.x2_float32_5.npy": x2,
    }
    folder = tmp_path / "save_ms"
    assert {path.name for path in folder.iterdir()} == set(expected)
    for name, value in expected.items():
        array = np.load(folder / name)
        assert (array.dtype, array.shape) == (np.float32, ())
        assert array == value


def test_dtypes_shapes_and_containers(run):
    saved = run.arrays("leaves")
    assert [(name, str(array.dtype), array.tolist()) for name, array in saved] == [
        ("t.0_s_bfloat16", "float32", [[1.5, 2.0]]),
        ("t.1.0_s_bfloat16", "float32", 2.0),
        ("t.1.1.k_s_bool", "bool", [True, False]),
        ("t.0_s_uint8", "uint8", 3),
        ("t.1_s_float16", "float16", 2.5),
        ("t.2_s_bool", "bool", True),
        ("t.3_s_complex64", "complex64", 1 + 2j),
        ("t.0_s_float32", "float32", []),
        ("t.1_s_int16", "int16", [[1]]),
        ("t.2_s_float64", "float64", 2.5),
        ("t.0_s_int64", "int64", 1),
        ("t.2_s_float64", "float64", 2.5),
        ("t.3_s_bool", "bool", True),
    ]
    assert saved[7][1].shape == (0, 3)


def test_files_come_in_the_order_of_the_calls_and_again_at_each_run(run):
    assert run.lists("order") == [
        ("loop0_float32", [1, 1]),
        ("inner_float32", [1, 1]),
        ("loop1_float32", [2, 2]),
        ("inner_float32", [2, 2]),
        ("while_float32", [3, 3]),
        ("if_float32", [6, 6]),
        ("loop0_float32", [2, 2]),
        ("inner_float32", [2, 2]),
        ("loop1_float32", [3, 3]),
        ("inner_float32", [3, 3]),
        ("while_float32", [4, 4]),
        ("if_float32", [8, 8]),
    ]


def test_what_is_saved_is_the_value_at_the_call(run):
    expected = [("before_float32", [1, 1]), ("after_float32", [5, 6]), ("last_float32", [6, 7])]
    assert run.lists("in_place") == expected


def test_jit_whatever_the_mode(run):
    names = ["t.a_float32", "t.b.0_float32", "t.b.1_int64"]
    assert run.lists("jit") == list(zip(names * 2, [[1], [1], 3, [2], [2], 3], strict=True))


def test_print(run):
    expected = ["_TS_SAVE_NAME:printed/t.a.0_s_int64", "1", "_TS_SAVE_NAME:printed/t.a.1_s_float32", "[1. 2.]"]
    assert run.printed == expected
    assert run.arrays("printed") == []


def test_errors(run):
    file, output_mode, leaf, folder = run.results["errors"]
    assert "ValueError" in file[0]
    assert "must end in a name" in file[1]
    assert "ValueError" in output_mode[0]
    assert "'json'" in output_mode[1]
    assert "TypeError" in leaf[0]
    assert 'data["a"][1]' in leaf[1]
    assert "str" in leaf[1]
    assert "OSError" in folder[0]
    assert "blocker/t.a.0_int64" in folder[1]


def test_a_shape_that_the_compiler_does_not_know_is_an_error_there(run):
    if run.compiles:
        message = 'data["a"][1]: ts.save in a compiled graph cannot save a tensor whose shape is not known'
        assert message in run.results["unknown_shape"]
    else:
        assert run.lists("unknown_shape") == [("t.a.0_int64", 1), ("t.a.1_float32", [1])]


def test_save_grad_is_the_gradient_of_a_parameter_added_there(run):
    assert run.lists("gradient") == [("t_backward_float32", run.results["gradient"])] * 2


def test_save_grad_in_a_compiled_training_step(run):
    names = ["t_backward_float32", "all.0_float32", "all.1_float32", "all.2_float32"]
    saved = run.arrays("training_step")
    assert [name for name, _ in saved] == names * 2
    for first in (0, 4):  # the parameter that is added there comes first among the weights
        np.testing.assert_array_equal(saved[first][1], saved[first + 1][1])


def test_save_grad_dtypes_and_suffix(run):
    assert sorted(run.lists("gradient_dtypes")) == [("half_s_bfloat16", [1, 1]), ("scalar_float32", 6)]


def test_save_grad_without_a_gradient_warns(run):
    of_int, of_float = run.results["no_gradient"]
    assert of_int == ["ts.save_grad('no_gradient/t', …): this tensor needs no gradient, so none will be saved"]
    assert of_float == ([] if run.compiles else of_int)  # a graph is compiled before anybody asks for gradients
    assert run.arrays("no_gradient") == []


def test_nothing_is_imported_for_those_who_do_not_use_it(tmp_path):
    script = """
import sys, ts_core as ts
ts.save(sys.argv[1], 1)
print('mindspore' in sys.modules, 'torch' in sys.modules)
"""
    process = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "t")], capture_output=True, text=True, check=True
    )
    assert process.stdout.split() == ["False", "False"]


def test_other_attributes_are_unknown():
    with pytest.raises(AttributeError):
        ts.save.no_such_attribute  # noqa: B018
