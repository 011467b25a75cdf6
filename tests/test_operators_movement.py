"""Operators that move data: definitions and kernels against NumPy at odd shapes, and what they refuse."""

from __future__ import annotations

from itertools import product

import pytest
from differential import compare
from operator_checks import check_definition, check_kernels

from autotune.errors import UsageError
from autotune.schedules.schedule import create_schedule
from autotune.targets.host import native_target
from autotune.tensor_expr.operators import get_operator, operators

FAMILY = "data movement"
# One case an operator and mode is also compiled.
COMPILED: list[tuple[str, dict[str, object]]] = [
    ("concat", {"shapes": "2,3,5;2,1,5;2,7,5", "axis": 1}),
    ("concat", {"shapes": "2,3,5;2,3,17;2,3,1", "axis": -1, "dtype": "int8"}),
    ("concat", {"shapes": "3,5;3,9", "axis": 1, "dtype": "bfloat16"}),
    ("split", {"shape": "2,7,5", "axis": 1, "sizes": "3,1,3", "part": 2}),
    ("slice", {"shape": "3,7,19", "starts": "1,-1", "ends": "100,-100", "axes": "1,2", "steps": "2,-1"}),
    *(
        ("pad", {"shape": "3,7,13", "pads": "0,1,2,0,3,1", "mode": mode, "value": 2})
        for mode in ("constant", "edge", "reflect", "wrap")
    ),
    ("transpose", {"shape": "3,7,13", "perm": "2,0,1"}),
    ("reshape", {"shape": "3,4,1,15,2", "to": "0,-1,20"}),
    ("flatten", {"shape": "3,4,5", "axis": 2}),
    ("squeeze", {"shape": "3,1,5,1", "axes": ""}),
    ("unsqueeze", {"shape": "3,5", "axes": "0,-1"}),
    ("gather", {"shape": "11,7,5", "indices": "3,2", "axis": 1}),
    ("gather", {"shape": "11,7", "indices": "13", "axis": -1, "index_dtype": "int32", "dtype": "uint8"}),
    ("gather_elements", {"shape": "11,7", "indices": "17,5", "axis": 0}),
    ("expand", {"shape": "3,1,5", "to": "2,1,4,1"}),
    ("tile", {"shape": "3,5,7", "repeats": "1,3,2"}),
    ("depth_to_space", {"shape": "2,18,3,5", "block": 3}),
    ("depth_to_space", {"shape": "2,18,3,5", "block": 3, "mode": "CRD"}),
    ("space_to_depth", {"shape": "2,3,6,10", "block": 2}),
    ("one_hot", {"shape": "3,5", "depth": 7, "axis": 1, "on": 3, "off": -1}),
    ("one_hot", {"shape": "3,5", "depth": 7, "dtype": "bool"}),
    ("trilu", {"shape": "2,5,7", "k": 1}),
    ("resize", {"shape": "2,7,13", "sizes": "13,31", "mode": "linear"}),
    ("resize", {"shape": "2,7,13", "sizes": "14,26", "mode": "cubic", "coordinates": "asymmetric"}),
    ("resize", {"shape": "2,7,13", "sizes": "3,40", "mode": "nearest"}),
]
EVALUATED: list[tuple[str, dict[str, object]]] = [
    *(
        ("pad", {"shape": "3,7,13", "pads": "0,-1,2,1,3,-1", "mode": mode})
        for mode in ("constant", "edge", "reflect", "wrap")
    ),
    ("slice", {"shape": "3,7,19", "starts": "-2", "ends": "3", "axes": "", "steps": ""}),
    ("transpose", {"shape": "3,7,13", "perm": ""}),
    ("reshape", {"shape": "6,35", "to": "10,3,7"}),
    ("reshape", {"shape": "1", "to": "1,1,1"}),
    *(("flatten", {"shape": "3,4,5", "axis": axis}) for axis in (-3, 0, 3)),
    ("squeeze", {"shape": "1,1", "axes": ""}),
    ("squeeze", {"shape": "3,1,5,1", "axes": "-1"}),
    ("gather_elements", {"shape": "11,7", "indices": "11,5", "axis": 1}),
    ("trilu", {"shape": "5,7", "k": -2, "lower": True}),
    *(
        ("resize", {"shape": "2,7,13", "sizes": sizes, "mode": mode, "coordinates": coordinates})
        for mode, coordinates, sizes in product(
            ("linear", "cubic"),
            ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"),
            ("14,26", "3,5", "7,1"),
        )
    ),
    *(
        ("resize", {"shape": "7,13", "sizes": sizes, "mode": "nearest", "coordinates": coordinates, "nearest": nearest})
        for coordinates, nearest, sizes in product(
            ("half_pixel", "asymmetric", "align_corners"),
            ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
            ("14,26", "3,5", "1,40"),
        )
    ),
]


def name_of(case: tuple[str, dict[str, object]]) -> str:
    return " ".join([case[0], *map(str, case[1].values())])


@pytest.mark.parametrize("case", [*COMPILED, *EVALUATED], ids=name_of)
def test_the_definition_equals_numpy(case: tuple[str, dict[str, object]]) -> None:
    check_definition(get_operator(case[0])(**case[1]))


@pytest.mark.compiler
@pytest.mark.parametrize("case", COMPILED, ids=name_of)
def test_kernels_equal_numpy(case: tuple[str, dict[str, object]]) -> None:
    check_kernels(get_operator(case[0])(**case[1]))


def test_every_operator_of_the_family_is_compiled_here() -> None:
    assert {name for name, _ in COMPILED} == {name for name, op in operators().items() if op.family == FAMILY}


@pytest.mark.compiler
def test_a_concat_of_500_inputs() -> None:
    workload = get_operator("concat")(shapes=";".join(["3,2"] * 500), axis=1)
    assert compare(create_schedule(workload.output).vectorize("y", "i1"), native_target(), workload) == ""


def test_resize_does_not_move_with_rounding() -> None:
    """Every third element, where floating point has 2.9999999999999996 for some places."""
    workload = get_operator("resize")(
        shape="4093", sizes="12279", mode="nearest", coordinates="asymmetric", nearest="floor", dtype="float64"
    )
    check_definition(workload)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("concat", {"shapes": "2,3;2,4", "axis": 0}, "2,4, which must agree with 2,3 but along axis 0"),
        ("concat", {"shapes": "2,3;2", "axis": 0}, "input 1 has the shape 2"),
        ("concat", {"axis": 4}, "axis is 4; with 4 dimensions it is from -4 to 3"),
        ("concat", {"shapes": ""}, "shapes is empty"),
        ("split", {"sizes": "64,65"}, "sizes add up to 129, but axis 1 has 128 elements"),
        ("split", {"part": 2}, "part is 2; with 2 parts it is from 0 to 1"),
        ("slice", {"steps": "0,1"}, "steps has 0 for axis 2"),
        ("slice", {"starts": "5,0", "ends": "5,1", "steps": ""}, "the slice from 5 to 5 by 1 of axis 2 .* is empty"),
        ("slice", {"starts": "5"}, "starts, ends, axes and steps have 1, 2, 2 and 2 entries for 4 dimensions"),
        ("slice", {"axes": "2,2"}, "axes is '2,2'; each axis is given once"),
        ("pad", {"pads": "1,1"}, "pads has 2 entries; 4 dimensions take 8"),
        ("pad", {"mode": "mirror"}, "mode is 'mirror'; it is one of constant, edge, reflect, wrap"),
        ("pad", {"shape": "3", "pads": "3,0", "mode": "reflect"}, "reflect pads axis 0 by at most 2"),
        ("pad", {"shape": "3", "pads": "-2,-1"}, "pads leave 0 of the 3 elements of axis 0"),
        ("pad", {"value": 0.5, "dtype": "int8"}, "value is 0.5; int8 takes whole numbers"),
        ("pad", {"value": "nan"}, "value is nan; it must be finite"),
        ("transpose", {"perm": "0,1"}, "perm has 2 axes; the 4 dimensions"),
        ("reshape", {"to": "5,-1"}, "200704 elements of the shape 1,64,56,56 do not fit the shape 5,-1"),
        ("reshape", {"to": "-2"}, "to has -2 for axis 0"),
        ("flatten", {"axis": 5}, "axis is 5; with 4 dimensions it is from -4 to 4"),
        ("squeeze", {"axes": "1"}, "axis 1 has 512 elements; only axes of one element can vanish"),
        ("unsqueeze", {"axes": "4"}, "axes is 4; with 4 dimensions it is from -4 to 3"),
        ("gather", {"axis": "x"}, "axis is 'x'; it must be a whole number"),
        ("gather", {"index_dtype": "int8"}, "index_dtype is 'int8'; it is one of int64, int32"),
        ("gather_elements", {"indices": "3"}, "indices have the shape 3, which must have the rank of 512,768"),
        ("expand", {"shape": "3", "to": "4"}, "the shapes 3 and 4 do not broadcast to one shape"),
        ("tile", {"repeats": "2"}, "repeats has 1 entries; 4 dimensions take one each"),
        ("depth_to_space", {"block": 3}, "64 channels cannot be moved into blocks of 3x3 pixels"),
        ("depth_to_space", {"shape": "64"}, "shape is 64; an image has the four dimensions NCHW"),
        ("space_to_depth", {"block": 3}, "112x112 pixels cannot be cut into blocks of 3x3"),
        ("one_hot", {"depth": 0}, "depth is 0; it must be a whole number from 1"),
        ("trilu", {"shape": "4"}, "shape is 4; a matrix has two dimensions"),
        ("resize", {"sizes": "1,2,3,4,5"}, "sizes has 5 entries for 4 dimensions"),
        ("resize", {"coordinates": "centre"}, "coordinates is 'centre'; it is one of half_pixel, "),
        ("resize", {"dtype": "int8"}, "dtype is 'int8'; it is one of float32, float64"),
    ],
)  # fmt: skip
def test_refusals(name: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        get_operator(name)(**params)
