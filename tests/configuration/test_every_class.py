"""Every layer class that is installed has its settings declared, or stands here with the reason why not."""

import inspect

import pytest

from ts_core.contract.recognition import is_class
from ts_core.frameworks import registry

torch = pytest.importorskip("torch")
mindspore = pytest.importorskip("mindspore")
from mindspore import mint  # noqa: E402 - only after it is known to be there

nn = mindspore.nn

REASONS = {
    "holds other layers, which have their settings themselves": """
        Container DataParallel Module ModuleDict ModuleList ParameterDict ParameterList Sequential Transformer
        TransformerDecoder TransformerEncoder Cell CellDict CellList SequentialCell Conv2dBnAct DenseBnAct
        TimeDistributed LossBase AdaptiveLogSoftmaxWithLoss GraphCell
    """,
    "becomes the layer that it is called after when it is first called": """
        LazyBatchNorm1d LazyBatchNorm2d LazyBatchNorm3d LazyInstanceNorm1d LazyInstanceNorm2d LazyInstanceNorm3d
    """,
    "drives training, and is no layer of a network": """
        AdaSumByDeltaWeightWrapCell AdaSumByGradWrapCell DistributedGradReducer DynamicLossScaleUpdateCell
        FixedLossScaleUpdateCell ForwardValueAndGrad GetNextSingleOp GradAccumulationCell Jvp MicroBatchInterleaved
        ParameterUpdate PipelineCell PipelineGradReducer TrainOneStepCell TrainOneStepWithLossScaleCell
        VirtualDatasetCellTriple Vjp WithEvalCell WithGradCell WithLossCell
    """,
    "exists in one framework alone, so that there is nothing to compare it with": """
        LinearCrossEntropyLoss CentralCrop ClipByNorm DiGamma DiceLoss FocalLoss IGamma ImageGradients L1Regularizer
        LBeta LGamma MSSSIM MatDet MatInverse MatMul MatrixDiag MatrixDiagPart MatrixSetDiag Moments MultiClassDiceLoss
        Norm OneHot PSNR RMSELoss Range ReduceLogSumExp Roll SSIM SampledSoftmaxLoss SparseTensorDenseMatmul
        SparseToDense Tril Triu
    """,
    "lays its patches out otherwise than the unfold of other frameworks": "Unfold",
}
EXCUSED = {name for names in REASONS.values() for name in names.split()}


def classes(module, base):
    return [cls for _, cls in inspect.getmembers(module, inspect.isclass) if issubclass(cls, base)]


def unruled(framework, module, base):
    rules = registry().each("layer_rules")[framework]
    aside = (nn.Optimizer, nn.learning_rate_schedule.LearningRateSchedule)
    for cls in classes(module, base):
        ruled = [
            rule for parent in cls.__mro__ for rule in rules if is_class(parent, rule.cls) and parent is not object
        ]
        always = [rule for rule in ruled if rule.when is None or cls.__name__ == "Pad"]
        if not always and not issubclass(cls, aside):
            yield cls.__name__


@pytest.mark.parametrize(
    ("framework", "module", "base", "at_least"),
    [
        ("torch", torch.nn, torch.nn.Module, 140),
        ("mindspore", nn, nn.Cell, 120),
        ("mindspore", mint.nn, nn.Cell, 60),
    ],
    ids=["torch.nn", "mindspore.nn", "mindspore.mint.nn"],
)
def test_every_class_has_settings_or_a_reason(framework, module, base, at_least):
    assert len(classes(module, base)) >= at_least
    assert set(unruled(framework, module, base)) <= EXCUSED


def test_no_reason_is_for_a_class_that_has_settings():
    without = {
        name
        for framework, module, base in (
            ("torch", torch.nn, torch.nn.Module),
            ("mindspore", nn, nn.Cell),
            ("mindspore", mint.nn, nn.Cell),
        )
        for name in unruled(framework, module, base)
    }
    assert without >= EXCUSED
