"""Networks of both frameworks from their layers, in the order in which these are given."""

import mindspore
import torch

nn, msnn = torch.nn, mindspore.nn


def net(**layers):
    """A torch network of these layers."""
    root = nn.Module()
    for name, layer in layers.items():
        setattr(root, name, layer)
    return root


def cell(**layers):
    """A MindSpore network of these layers."""
    root = msnn.Cell()
    for name, layer in layers.items():
        setattr(root, name, layer)
    return root


def conv(before, after, kernel, bias=False):
    return nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=bias)


def ms_conv(before, after, kernel, bias=False):
    return msnn.Conv2d(before, after, kernel, has_bias=bias)


def layers_of(found):
    """Source layer → target layer, of all that a map moves."""
    return {e.source[0].rpartition(".")[0]: e.target[0].rpartition(".")[0] for e in found}


def certainties(found, *layers):
    """How sure a map is of these layers of the source."""
    return {e.certainty for e in found if e.source[0].rpartition(".")[0] in layers}
