"""What holds for every operator of the library: its showcase, parameters, help and reference."""

from __future__ import annotations

import numpy as np
import pytest

from autotune.tensor_expr.operators import families, operators

SMALL_WORK = 30_000_000  # operations of a showcase whose reference is computed here


@pytest.mark.parametrize("name", operators())
def test_the_showcase(name: str) -> None:
    """Defaults declare a workload, whose parameters declare it again and whose reference is finite."""
    operator = operators()[name]
    workload = operator()
    assert workload.operator == name and set(workload.params) == {param.name for param in operator.params}
    assert operator(**workload.params).text == workload.text
    assert workload.flops >= 0 and workload.bytes > 0 and workload.reference is not None
    if max(workload.flops, workload.bytes) <= SMALL_WORK:
        result = workload.compute_reference(workload.random_inputs(1))
        assert result.shape == workload.output.shape
        assert result.dtype.kind not in "fV" or np.isfinite(result.astype(np.float64)).all()


@pytest.mark.parametrize("name", operators())
def test_people_can_read_it(name: str) -> None:
    operator = operators()[name]
    text = operator.declare.__doc__ or ""
    assert "``" in text and "UsageError" in text, "a docstring has the formula and what is refused"
    assert operator.summary and operator.summary == operator.summary.rstrip(".")
    assert all(param.help for param in operator.params) and len({p.name for p in operator.params}) == len(
        operator.params
    )


def test_families_hold_every_operator_once() -> None:
    listed = [name for members in families().values() for name in members]
    assert sorted(listed) == sorted(operators()) and all(families())
