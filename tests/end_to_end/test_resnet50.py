"""The guide's first scenario, sample by sample, on a ResNet-50 that is defined in both frameworks."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ts_core as ts

torch = pytest.importorskip("torch")
mindspore = pytest.importorskip("mindspore")

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "resnet50"
CLASSES = 10


def example(name: str):
    spec = importlib.util.spec_from_file_location(f"resnet50_{name}", EXAMPLE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def torch_net():
    torch.manual_seed(0)
    return example("torch_net").resnet50(num_classes=CLASSES)


@pytest.fixture(scope="module")
def networks():
    return example("mindspore_net")


@pytest.fixture
def paths(torch_net, tmp_path):
    torch.save(torch_net.state_dict(), tmp_path / "torch_net.pth")
    return str(tmp_path / "torch_net_map.json"), str(tmp_path / "torch_net.pth"), str(tmp_path / "convert_resnet.ckpt")


def assert_equal_outputs(torch_net, mindspore_net, ckpt):
    missing, _ = mindspore.load_param_into_net(mindspore_net, mindspore.load_checkpoint(ckpt))
    assert not missing
    images = np.random.default_rng(0).standard_normal((1, 3, 64, 64)).astype(np.float32)
    with torch.no_grad():
        expected = torch_net(torch.tensor(images)).numpy()
    found = mindspore_net.set_train(False)(mindspore.Tensor(images)).asnumpy()
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_sample_1_equal_structure(torch_net, networks, paths, capsys):
    map_path, pth, ckpt = paths
    ts.migrator.get_weight_map(pt_net=torch_net, weight_map_save_path=map_path, print_map=True)
    assert "'layer1.0.downsample.1.running_var': 'layer1.0.downsample.1.moving_variance'" in capsys.readouterr().out
    ts.migrator.convert_weight(weight_map_path=map_path, pt_file_path=pth, ms_file_save_path=ckpt)
    assert "The list of conversion result" in capsys.readouterr().out
    assert_equal_outputs(torch_net, networks.ResNet50(CLASSES), ckpt)


def test_sample_2_a_prefix(torch_net, networks, paths):
    map_path, pth, ckpt = paths
    ts.migrator.get_weight_map(
        pt_net=torch_net, weight_map_save_path=map_path, weight_name_prefix="uvp", print_map=True
    )
    ts.migrator.convert_weight(weight_map_path=map_path, pt_file_path=pth, ms_file_save_path=ckpt)
    assert_equal_outputs(torch_net, networks.Application(CLASSES), ckpt)


def test_sample_3_a_function_of_ones_own(torch_net, networks, paths):
    def custorm_weight_name(weight_name_map):
        prefix = ".custorm."
        custorm_name_map = {}
        for key, value in weight_name_map.items():
            index = value.find(".")
            value = value[0:index] + prefix + value[index + 1 :]
            print(key, ":", value)
            custorm_name_map[key] = str(value)
        return custorm_name_map

    map_path, pth, ckpt = paths
    ts.migrator.get_weight_map(
        pt_net=torch_net, weight_map_save_path=map_path, custom_name_func=custorm_weight_name, print_map=True
    )
    assert json.loads(Path(map_path).read_text())[0]["fc.weight"] == "fc.custorm.weight"
    ts.migrator.convert_weight(weight_map_path=map_path, pt_file_path=pth, ms_file_save_path=ckpt)
    assert_equal_outputs(torch_net, networks.ResNet50(CLASSES, deeper=True), ckpt)


def test_a_target_takes_the_place_of_prefix_and_function(torch_net, networks, paths):
    """What samples 2 and 3 spell out is found from the network that is really there."""
    _, pth, _ = paths
    for target, change in (
        (networks.Application(CLASSES), lambda name: f"uvp.{name}"),
        (networks.ResNet50(CLASSES, deeper=True), lambda name: name.replace(".", ".custorm.", 1)),
    ):
        translated, _ = ts.migrator.get_weight_map(torch_net)
        matched, _ = ts.migrator.get_weight_map(torch_net, target=target)
        counters = {name for name in translated if name.endswith("num_batches_tracked")}
        assert matched == {name: None if name in counters else change(to) for name, to in translated.items()}
        assert ts.transfer(pth, target)


def test_the_example_runs_and_gives_its_verdict():
    run = subprocess.run([sys.executable, EXAMPLE / "demo.py"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "The moves are right." in run.stdout
