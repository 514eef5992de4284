"""The tests themselves. Each one is a promise; its docstring says which, and a failure says how it was broken."""

from ts_core.testing._suite._cases import FEATURES, LayerCase, NetCase, TraceCase, public_classes
from ts_core.testing._suite._files import FileTests
from ts_core.testing._suite._format_suite import FormatSuite
from ts_core.testing._suite._formats import FormatTests
from ts_core.testing._suite._gradients import GradientTests
from ts_core.testing._suite._layers import LayerTests
from ts_core.testing._suite._networks import NetworkTests
from ts_core.testing._suite._plugin import PluginTests
from ts_core.testing._suite._tensors import TensorTests
from ts_core.testing._suite._traces import TraceTests

__all__ = ["FEATURES", "FormatSuite", "FrameworkSuite", "LayerCase", "NetCase", "TraceCase", "public_classes"]


class FrameworkSuite(
    PluginTests, TensorTests, NetworkTests, LayerTests, GradientTests, FileTests, FormatTests, TraceTests
):
    """Inherit from this class, fill in what has no default, and run pytest.

    Nothing here is called before the tests run, except :meth:`nets` and :meth:`layers`, which list cases and make no
    network yet.
    """
