"""NetDifferenceFinder, as the older tool had it."""

import numpy as np
import pytest

import ts_core as ts

torch = pytest.importorskip("torch")
mindspore = pytest.importorskip("mindspore")

X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)


def nets(slope=0.01):
    source = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.LeakyReLU(), torch.nn.Linear(5, 2)).eval()
    nn = mindspore.nn
    return source, nn.SequentialCell(nn.Dense(4, 5), nn.LeakyReLU(slope), nn.Dense(5, 2)).set_train(False)


def test_weights_are_converted_and_outputs_compared(tmp_path, capsys):
    np.save(tmp_path / "x.npy", X)
    finder = ts.migrator.NetDifferenceFinder(*nets())
    assert finder.compare([(X,), (torch.tensor(X),), (str(tmp_path / "x.npy"),)])
    assert "PyTorch out" in capsys.readouterr().out
    assert finder.compare(auto_inputs=((((3, 4), np.float32),), 2))
    assert finder.compare(auto_inputs={"input": (((3, 4), "float32"),), "num": 1})


def test_the_first_divergence_is_told(capsys):
    finder = ts.migrator.NetDifferenceFinder(*nets(0.3))
    report = finder.compare([(X,)])
    assert not report
    assert finder.located.first.hints[0].setting == "negative_slope"
    assert "negative_slope" in capsys.readouterr().out


def test_weights_may_stay_as_they_are(capsys):
    finder = ts.migrator.NetDifferenceFinder(*nets(), print_level=0, auto_conv_ckpt=0)
    assert not finder.compare([X])
    assert finder.located.first.where == "weights"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "arguments",
    [{}, {"inputs": [X], "auto_inputs": ((), 1)}, {"auto_inputs": 3}, {"inputs": [X[:, :2]]}],
)
def test_what_cannot_be_compared_is_an_error(arguments):
    finder = ts.migrator.NetDifferenceFinder(*nets(), print_level=0)
    with pytest.raises(ts.errors.TsError):
        finder.compare(**arguments)
    with pytest.raises(ts.errors.ArgumentTypeError):
        ts.migrator.NetDifferenceFinder("net", nets()[1])
    with pytest.raises(ts.errors.ArgumentError):
        ts.migrator.NetDifferenceFinder(*nets(), auto_conv_ckpt=7)
