"""The suite catches bugs of layer rules, of what a plug-in says of itself, of gradients and seeds."""

import dataclasses
import inspect

import pytest
from seeding import Bugs, EachIsCaught, altered, on_each_rule, swapped

from ts_core.contract.nouns import LayerRule
from ts_core.contract.transforms import InsertAxis, Transpose

torch = pytest.importorskip("torch")
bug = Bugs()


# layer_rules


@bug("layer_rules", "test_layer_computes_its_kind")
@on_each_rule
def mean_and_variance_swapped(rule):
    return swapped(rule, "mean", "variance")


@bug("layer_rules", "test_layer_computes_its_kind")
@on_each_rule
def scale_and_bias_swapped(rule):
    return swapped(rule, "scale", "bias")


@bug("layer_rules", "test_layer_computes_its_kind")
@on_each_rule
def transposed_kernel(rule):
    return {"layout": {"weight": Transpose((1, 0))}} if rule.kind == "linear" else {}


@bug("layer_rules", "test_layer_computes_its_kind")
@on_each_rule
def channels_last(rule):
    return {"layout": {"weight": Transpose((2, 3, 1, 0))}} if rule.kind == "conv2d" else {}


@bug("layer_rules", "test_layer")
@on_each_rule
def every_convolution_is_flat(rule):
    return {"kind": "conv2d"} if rule.kind.startswith("conv") else {}


class OneWay(InsertAxis):
    """A layout whose inverse forgets which axis it was."""

    def inverse(self):
        return Transpose((1, 0))


@bug("layer_rules", "test_layout_is_invertible")
@on_each_rule
def layout_without_a_way_back(rule):
    return {"layout": {"weight": OneWay(0)}} if rule.kind == "embedding" else {}


@bug("layer_rules", "test_rules")
@on_each_rule
def misspelt_kind(rule):
    return {"kind": "liner"} if rule.kind == "linear" else {}


@bug("layer_rules", "test_rules")
@on_each_rule
def misspelt_role(rule):
    return {"roles": {"weight": "wieght", "bias": "bias"}} if rule.kind == "linear" else {}


@bug("layer_rules", "test_rules")
@on_each_rule
def setting_of_another_kind(rule):
    return {"settings": {"eps": "eps"}} if rule.kind == "linear" else {}


@bug("layer_rules", "test_every_rule_has_a_case")
def rule_of_another_kind(honest):
    return lambda: [*honest(), LayerRule("torch.nn.Linear", "conv2d", {"weight": "weight"})]


@bug("layer_rules", "test_rules", "'torch.nn.Linaer' is the name of no class")
def misspelt_class(honest):
    return lambda: [*honest(), LayerRule("torch.nn.Linaer", "linear", {"weight": "weight"})]


@bug("layer_rules", "test_rules", "'torch.nn.functional.Linear' is the name of no class")
@on_each_rule
def class_of_another_package(rule):
    return {"cls": "torch.nn.functional.Linear"} if rule.cls == "torch.nn.Linear" and rule.kind == "linear" else {}


@bug("layer_rules", "test_layer_computes_its_kind", "the definition ignores ['gain']")
@on_each_rule
def a_role_that_the_definition_does_not_know(rule):
    return {"roles": {"weight": "weight", "bias": "gain"}} if rule.kind == "linear" else {}


@bug("layer_rules", "test_rules")
def a_role_twice(honest):
    return lambda: [*honest(), LayerRule("torch.nn.Linear", "linear", {"weight": "weight", "w": "weight"})]


@bug("layer_rules", "test_rules")
def a_layout_for_nothing(honest):
    return lambda: [*honest(), LayerRule("torch.nn.Linear", "linear", {"weight": "weight"}, {"kernel": InsertAxis(0)})]


@bug("layer_rules", "test_every_class_has_a_rule")
def a_rule_is_missing(honest):
    return lambda: [rule for rule in honest() if rule.kind != "layer_norm"]


# framework_info


@bug("framework_info", "test_info")
def networks_not_claimed(honest):
    return lambda: dataclasses.replace(honest(), classes=("torch.Tensor",))


@bug("framework_info", "test_is_registered")
def written_for_a_newer_contract(honest):
    return lambda: dataclasses.replace(honest(), contract=10_000)


@bug("framework_info", "test_is_registered")
def framework_not_installed(honest):
    return lambda: dataclasses.replace(honest(), distribution="a-framework-nobody-has")


@bug("framework_info", "test_info", "or claims_networks = False")
def no_class_at_all_for_networks(honest):
    return lambda: dataclasses.replace(honest(), classes=("torch.Tensor", "torch.nn.Parameter"))


# compilers


@bug("graph_function", "test_compilers", "graph_function answers a function or None")
def answers_its_name(honest):
    return lambda verb: f"torch_{verb}"


@bug("graph_function", "test_compilers", "graph_function raised KeyError: 'no such verb'")
def knows_two_verbs(honest):
    return lambda verb: {"save": print, "save_grad": print}[verb]


@bug("graph_function", "test_compilers", "a verb it does not know")
def one_function_for_every_verb(honest):
    return lambda verb: print


@bug("hide_from_compiler", "test_compilers", "answers what it answers")
def forgets_the_keywords(honest):
    return lambda function: lambda *given, **named: function(*given)


@bug("hide_from_compiler", "test_compilers", "answers what it answers")
def forgets_the_answer(honest):
    def hide_from_compiler(function):
        def hidden(*given, **named):
            function(*given, **named)

        return hidden

    return hide_from_compiler


@bug("hide_from_compiler", "test_compilers", "answers a function or None")
def answers_that_it_is_hidden(honest):
    return lambda function: True


# gradients


@bug("extract_gradients", "test_gradients")
def wrong_sign(honest):
    def extract_gradients(source, net):
        found = honest(source, net)
        return found and {name: None if gradient is None else -gradient for name, gradient in found.items()}

    return extract_gradients


@bug("extract_gradients", "test_gradients")
def one_place_further(honest):
    def extract_gradients(source, net):
        found = honest(source, net)
        return found and dict(zip(found, [*list(found.values())[1:], next(iter(found.values()))], strict=True))

    return extract_gradients


@bug("extract_gradients", "test_gradients_of_strangers")
def gradients_from_nowhere(honest):
    def extract_gradients(source, net):
        found = honest(source, net)
        return {} if found is None else found

    return extract_gradients


@bug("on_gradient", "test_on_gradient")
def never_calls_back(honest):
    def on_gradient(tensor, callback):
        return honest(tensor, lambda gradient: None)

    return on_gradient


@bug("on_gradient", "test_on_gradient")
def calls_back_twice(honest):
    def on_gradient(tensor, callback):
        return honest(honest(tensor, callback), callback)

    return on_gradient


@bug("on_gradient", "test_on_gradient")
def doubles_the_gradient(honest):
    def on_gradient(tensor, callback):
        watched = honest(tensor, callback)
        return None if watched is None else watched * 2 - watched.detach()

    return on_gradient


# files, randomness


@bug("framework_info", "test_foreign_files")
def takes_any_file_for_its_own(honest):
    formats = (dataclasses.replace(format, sniff=lambda source: True) for format in honest().formats)
    info = dataclasses.replace(honest(), formats=tuple(formats))
    return lambda: info


@bug("seed", "test_seed")
def seed_ignored(honest):
    def seed(seed):
        return None

    return seed


@pytest.mark.filterwarnings("ignore::ts_core.errors.PluginWarning")
def test_the_suite_catches_a_hook_without_its_mark(suite):
    (failure,) = suite(altered("seed", lambda seed: None, marked=False), "test_is_registered").failures
    assert "seed is marked with @hookimpl" in failure


@pytest.mark.filterwarnings("ignore::ts_core.errors.PluginWarning")
def test_a_plugin_whose_framework_info_has_no_mark_is_not_used(suite):
    import ts_torch

    unmarked = altered("framework_info", lambda: ts_torch.framework_info(), marked=False)
    (failure,) = suite(unmarked, "test_is_registered").failures
    assert "framework_info is not marked with @hookimpl" in failure


def test_the_suite_catches_an_eager_import(suite, tmp_path):
    import ts_torch

    (tmp_path / "altered_plugin.py").write_text("import torch\nfrom ts_torch import *")
    (failure,) = suite(altered("seed", ts_torch.seed), "test_import_is_light").failures
    assert "importing the plug-in imports no framework" in failure


# What is not caught by a bug in one hook


class Broken(Exception):
    """Not of ours."""


RAISING = {
    "tensor_to_numpy": "test_to_numpy",
    "tensor_from_numpy": "test_from_numpy",
    "iter_layers": "test_layers",
    "iter_parameters": "test_raw_parameters",
    "load_parameters": "test_load",
    "layer_rules": "test_rules",
    "extract_gradients": "test_gradients",
    "on_gradient": "test_on_gradient",
    "seed": "test_seed",
    "hide_from_compiler": "test_compilers",
    "framework_info": "test_info",
}


@pytest.mark.filterwarnings("ignore::ts_core.errors.PluginWarning")
@pytest.mark.parametrize("hook", RAISING)
def test_a_hook_that_raises_breaks_a_promise_with_its_name(hook, caught):
    def raising(honest):
        def function(*arguments):
            raise Broken("out of order")

        function.__signature__ = inspect.signature(honest)  # what pluggy asks for
        return function

    failure = caught(hook, raising, RAISING[hook])
    assert f"{hook} raised Broken: out of order (test_seeded_rules.py, line " in failure


@pytest.mark.parametrize("hook", ["iter_layers", "iter_parameters"])
def test_a_hook_that_raises_while_it_yields_breaks_a_promise_with_its_name(hook, caught):
    def raising(honest):
        def function(net):
            yield from honest(net)
            raise Broken("out of order")

        return function

    assert f"{hook} raised Broken" in caught(hook, raising, RAISING[hook].replace("test_raw_parameters", "test_paths"))


def test_a_kind_that_is_misspelt_in_rule_and_case(suite):
    import ts_torch

    rules = [dataclasses.replace(r, kind="liner") if r.kind == "linear" else r for r in ts_torch.layer_rules()]
    body = """
        def layers(self):
            import dataclasses
            for case in super().layers():
                yield dataclasses.replace(case, kind="liner") if case.kind == "linear" else case
    """
    misspelt = altered("layer_rules", lambda: rules)
    for test, says in (("test_rules", "'liner'"), ("test_every_rule_has_a_case", "['liner']")):
        (failure,) = suite(misspelt, test, body=body).failures
        assert "KINDS" in failure
        assert says in failure


def test_a_buffer_without_a_role_that_no_file_holds_is_no_failure(suite):
    import ts_torch

    body = """
        def layers(self):
            class Scratched(honest.nn.Linear):
                def __init__(self):
                    super().__init__(honest.WIDTH, honest.WIDTH)
                    self.register_buffer("scratch", honest.torch.zeros(2), persistent=False)
            yield honest.LayerCase("linear", Scratched)
    """
    tests = ("test_layer", "test_layer_computes_its_kind", "test_layout_is_invertible")
    reports = suite(altered("seed", ts_torch.seed), *tests, body=body)
    assert not reports.failures
    assert any(test.startswith("test_layer_computes") for test in reports.passed)


def test_networks_need_no_class_of_their_own(suite):
    import ts_torch

    info = dataclasses.replace(ts_torch.framework_info(), classes=("torch.Tensor",))
    reports = suite(altered("framework_info", lambda: info), "test_info", body="claims_networks = False")
    assert not reports.failures


def test_tensors_may_be_of_a_framework_that_is_named_in_shares(suite, monkeypatch):
    import ts_torch
    from ts_core.contract import FrameworkInfo

    info = dataclasses.replace(ts_torch.framework_info(), classes=("torch.nn.Module",), shares=("other",))
    other = FrameworkInfo("other", "numpy", classes=("torch.Tensor",))
    monkeypatch.setattr("ts_core.plugins", lambda: [info, other])
    tests = ("test_info", "test_from_numpy", "test_namesakes")
    reports = suite(altered("framework_info", lambda: info), *tests)
    assert not reports.failures
    assert len(reports.passed) > 2


class TestBugs(EachIsCaught):
    bugs = bug
