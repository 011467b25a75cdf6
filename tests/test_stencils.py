"""Halide's image pipelines: definitions and kernels against NumPy at odd sizes, and what is known of their results."""

from __future__ import annotations

import numpy as np
import pytest
from operator_checks import check_close, check_definition, check_kernels

from autotune.errors import UsageError
from autotune.schedules.schedule import create_schedule
from autotune.targets.callable import Kernel
from autotune.targets.host import native_target
from autotune.targets.llvm.build import build
from autotune.tensor_expr.evaluate import evaluate
from autotune.tensor_expr.operators import get_operator, operators

CASES: list[tuple[str, dict[str, object]]] = [
    ("blur", {"height": 13, "width": 37}),
    ("blur", {"height": 1, "width": 1}),
    ("unsharp_mask", {"height": 13, "width": 37}),
    ("unsharp_mask", {"height": 2, "width": 1, "sigma": 0.7, "dtype": "float64"}),
    ("harris", {"height": 13, "width": 37}),
    ("harris", {"height": 1, "width": 5, "k": 0.06, "dtype": "float64"}),
    ("local_laplacian", {"height": 13, "width": 19, "levels": 3, "intensities": 4, "alpha": 0.7, "beta": 0.4}),
    ("local_laplacian", {"height": 7, "width": 1, "levels": 1, "intensities": 2}),
    ("local_laplacian", {"height": 3, "width": 5, "levels": 6, "intensities": 3, "dtype": "float64"}),
]


def name_of(case: tuple[str, dict[str, object]]) -> str:
    return " ".join([case[0], *map(str, case[1].values())])


@pytest.mark.compiler
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_pipelines_equal_numpy(case: tuple[str, dict[str, object]]) -> None:
    workload = get_operator(case[0])(**case[1])
    check_definition(workload)
    check_kernels(workload, seed=len(name_of(case)))


def test_every_pipeline_is_tested() -> None:
    assert {name for name, _ in CASES} == {name for name, op in operators().items() if op.family == "image processing"}


@pytest.mark.compiler
def test_halides_schedule_of_the_blur() -> None:
    """Tiles on all threads; the rows that a tile needs are computed inside of it, in vectors."""
    workload = get_operator("blur")(height=67, width=131)
    schedule = create_schedule(workload.output).split("y", "i", [32]).split("y", "j", [64, 8])
    schedule = schedule.reorder("y", ["i.0", "j.0", "i.1", "j.1", "j.2"]).vectorize("y", "j.2").parallel("y", "i.0")
    for stage in ("rows", "border"):  # consumers first
        schedule = schedule.compute_at(stage, "y", "j.0")
    schedule = schedule.split("rows", "j", [8]).vectorize("rows", "j.1")
    inputs = workload.random_inputs(0)
    check_close(
        workload, Kernel(build(schedule, native_target(), 2))(inputs["x"]), workload.compute_reference(inputs), "tiled"
    )


@pytest.mark.parametrize("name", ["blur", "unsharp_mask"])
def test_a_constant_image_stays_as_it_is(name: str) -> None:
    workload = get_operator(name)(height=11, width=14)
    image = np.full(workload.placeholders[0].shape, 0.25)
    np.testing.assert_allclose(evaluate(workload.output, {"x": image}), image, rtol=1e-12)


def test_without_remapping_the_local_laplacian_changes_nothing() -> None:
    workload = get_operator("local_laplacian")(height=21, width=34, levels=4, alpha=0, beta=1)
    inputs = workload.random_inputs(3)
    np.testing.assert_allclose(evaluate(workload.output, inputs), inputs["x"], rtol=1e-9)


def test_harris_finds_the_corner() -> None:
    """A bright quadrant: its corner answers positively and most of all, its edges negatively."""
    image = np.zeros((3, 20, 20))
    image[:, 10:, 10:] = 1
    response = evaluate(get_operator("harris")(height=20, width=20).output, {"x": image})
    row, column = np.unravel_index(response.argmax(), response.shape)
    assert {row, column} <= {9, 10} and response[10, 17] < 0 and response[17, 10] < 0 and response[3, 3] == 0


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("blur", {"height": 0}, "height is 0; it must be a whole number from 1"),
        ("blur", {"dtype": "uint8"}, "dtype is 'uint8'; it is one of float32, float64"),
        ("unsharp_mask", {"sigma": 0}, "sigma is 0.0; it must be above 0"),
        ("harris", {"k": "inf"}, "k is inf; it must be finite"),
        ("local_laplacian", {"intensities": 1}, "intensities is 1; it must be a whole number from 2"),
        ("local_laplacian", {"levels": "some"}, "levels is 'some'; it must be a whole number of at least 1"),
    ],
)
def test_refusals(name: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        get_operator(name)(**params)
