"""The guide's scenario 2, its samples as they stand: checkpoints of MindSpore, and of PyTorch against MindSpore."""

import pytest

torch = pytest.importorskip("torch")
ms = pytest.importorskip("mindspore")
nn = ms.nn

import ts_core as ts  # noqa: E402 - after the frameworks, so that a missing one skips


class NetA(nn.Cell):
    def __init__(self):
        super(NetA, self).__init__()  # noqa: UP008 - as in the guide
        self.fc1 = nn.Dense(2, 10)
        self.bn1 = nn.BatchNorm1d(10)
        self.fc2 = nn.Dense(10, 1)
        self.relu = nn.ReLU()
        self.sigmoid = nn.Sigmoid()

    def construct(self, x):
        x = self.relu(self.bn1(self.fc1(x)))
        x = self.sigmoid(self.fc2(x))
        return x  # noqa: RET504 - as in the guide


class NetB(NetA):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Dense(3, 10)


class PTNet(torch.nn.Module):
    def __init__(self):
        super(PTNet, self).__init__()  # noqa: UP008 - as in the guide
        self.fc1 = torch.nn.Linear(2, 10)
        self.bn1 = torch.nn.BatchNorm1d(10)
        self.fc2 = torch.nn.Linear(10, 1)
        self.relu = torch.nn.ReLU()
        self.sigmoid = torch.nn.Sigmoid()


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(text):
    """The rows of each printed table, without its title, header and rules."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 1:
            found.append([])
        elif cells:
            found[-1].append(cells)
    return [table[1:] for table in found]


def test_two_checkpoints_of_mindspore(here, capsys):
    net_0 = NetA()
    net_1 = NetB()
    ms.save_checkpoint(net_0, "net_a.ckpt")
    ms.save_checkpoint(net_1, "net_b.ckpt")
    capsys.readouterr()

    report = ts.migrator.compare_ms_ckpt("net_a.ckpt", "net_b.ckpt")
    shapes, values = rows(capsys.readouterr().out)
    names = [row[0] for row in shapes]
    assert names == [row[0] for row in values]
    assert set(names) == {
        *("fc1.weight", "fc1.bias", "bn1.moving_mean", "bn1.moving_variance"),
        *("bn1.gamma", "bn1.beta", "fc2.weight", "fc2.bias"),
    }
    assert ["fc1.weight", "fc1.weight", "False", "(10, 2)", "(10, 3)"] in shapes
    assert ["fc1.weight", "fc1.weight", "Shape is inconsistent", "0.00%", "nan", "nan, nan"] in values
    assert ["bn1.gamma", "bn1.gamma", "True", "100.00%", "1.00000", "0.00000, 0.00000"] in values
    assert not report

    ts.migrator.compare_ms_ckpt("net_a.ckpt", "net_b.ckpt", print_level=2)
    shapes, values = rows(capsys.readouterr().out)
    assert [row[0] for row in shapes] == ["fc1.weight"]
    assert {row[0] for row in values} == {row.name for row in report.failed}

    ts.migrator.compare_ms_ckpt("net_a.ckpt", "net_b.ckpt", compare_value=False, print_level=2)
    (shapes,) = rows(capsys.readouterr().out)
    assert [row[0] for row in shapes] == ["fc1.weight"]


def test_pytorch_and_mindspore(here, capsys):
    pt_net = PTNet()
    ms_net = NetB()
    ts.migrator.get_weight_map(pt_net=pt_net, weight_map_save_path="torch_net_map.json")
    torch.save(pt_net.state_dict(), "pt_net.pth")
    ms.save_checkpoint(ms_net, "ms_net.ckpt")
    capsys.readouterr()

    report = ts.migrator.compare_pth_and_ckpt("torch_net_map.json", "pt_net.pth", "ms_net.ckpt", print_level=2)
    shapes, values = rows(capsys.readouterr().out)
    assert shapes == [
        ["fc1.weight", "fc1.weight", "False", "(10, 2)", "(10, 3)"],
        ["bn1.num_batches_tracked", "None", "Not applicable", "()", "None"],
    ]
    assert values[0] == ["fc1.weight", "fc1.weight", "Shape is inconsistent", "0.00%", "nan", "nan, nan"]
    assert ["bn1.num_batches_tracked", "None", "Not applicable", "0.00%", "nan", "nan, nan"] in values
    assert "bn1.num_batches_tracked" not in {row.name for row in report.failed}
    assert "fc1.weight" in {row.name for row in report.failed}
    assert {path.name for path in here.iterdir()} == {"torch_net_map.json", "pt_net.pth", "ms_net.ckpt"}
