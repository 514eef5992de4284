"""The user guide's names for converting and comparing: thin forms of the verbs of :mod:`ts_core`."""

from ts_core.comparison import (
    get_name_map_list_by_name,
    get_name_map_list_by_number,
    get_name_map_list_by_shape_edit_distance,
)
from ts_core.migrator._checkpoints import compare_ms_ckpt, compare_pth_and_ckpt
from ts_core.migrator._folders import compare_dict_dir, compare_grads_dir, compare_list_dir, compare_npy_dir
from ts_core.migrator._networks import NetDifferenceFinder
from ts_core.migrator._weights import (
    convert_weight,
    convert_weight_and_load,
    get_weight_map,
    save_net_and_weight_params,
)

__all__ = [
    "NetDifferenceFinder",
    "compare_dict_dir",
    "compare_grads_dir",
    "compare_list_dir",
    "compare_ms_ckpt",
    "compare_npy_dir",
    "compare_pth_and_ckpt",
    "convert_weight",
    "convert_weight_and_load",
    "get_name_map_list_by_name",
    "get_name_map_list_by_number",
    "get_name_map_list_by_shape_edit_distance",
    "get_weight_map",
    "save_net_and_weight_params",
]
