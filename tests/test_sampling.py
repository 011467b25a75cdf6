"""The decisions of measuring on a machine whose speed wobbles: real code, made-up kernels, a clock that drifts."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pytest

from autotune.measure.builders import BuildResult
from autotune.measure.results import MeasureOptions, MeasureResult, median_interval
from autotune.measure.sampling import Reading, Timer, sample_head_to_head, sample_trial
from autotune.schedules.schedule import create_schedule
from autotune.search.final import finalists
from autotune.search.history import trial_record
from autotune.search.tally import Tally
from autotune.search.task import TuningTask
from autotune.search.yardstick import ratio
from autotune.targets.host import host_device, native_target
from autotune.tensor_expr.operators import get_operator
from autotune.tuning_logs import Record

OPTIONS = asdict(MeasureOptions())
BASELINE = 1e-3  # seconds, at full speed
TASK = TuningTask(get_operator("relu")(), native_target(), host_device())


class Wobbling:
    """A machine whose speed is between 70% and 100%, for milliseconds or for seconds; readings are noisy by 1%."""

    def __init__(self, seed: int, wobble: float = 0.3) -> None:
        self.generator = np.random.default_rng(seed)
        self.wobble, self.now, self.until, self.speed = wobble, 0.0, 0.0, 1.0

    def take(self, work: float) -> float:
        """The seconds that some seconds of work at full speed take now."""
        if self.now >= self.until:
            self.speed = 1 - self.wobble * self.generator.random()
            self.until = self.now + 10 ** self.generator.uniform(-2, 1)
        seconds = work / self.speed * (1 + 0.01 * abs(self.generator.standard_normal()))
        self.now += seconds
        return seconds

    def kernel(self, work: float) -> Timer:
        """A timer of a kernel of so many seconds of work."""
        return lambda number: self.take(work * number) / number

    def baseline(self) -> float:
        return self.take(BASELINE / 10) * 10


def search(works: np.ndarray, machine: Wobbling, baseline: Callable[[], float]) -> tuple[int, Reading]:
    """The winner among kernels as the tuner finds it: a trial each, the best of them head to head."""
    tally = Tally()
    for number, work in enumerate(works):
        reading = sample_trial(machine.kernel(work), baseline, ratio(tally.best), OPTIONS)
        tally.add(record(number, reading))
    chosen = [c.knobs["number"] for c in finalists(TASK, tally.records, 6)]
    readings = sample_head_to_head([machine.kernel(works[n]) for n in chosen], baseline, 25, math.inf, OPTIONS)
    place = min(range(len(chosen)), key=lambda n: statistics.median(readings[n].samples))
    return chosen[place], readings[place]


def record(number: int, reading: Reading) -> Record:
    seconds = statistics.median(reading.samples)
    low, high = median_interval(reading.samples)
    result = MeasureResult("ok", "", reading.samples, seconds, low, high, baseline=reading.baseline)
    built = BuildResult((0, number), "ok", "", None, 0.02)
    schedule = create_schedule(TASK.workload.output).text
    return trial_record("run", 0, number, schedule, {"number": number}, 0, built, result)


@pytest.mark.parametrize("seed", range(8))
def test_the_winner_is_among_the_best_on_a_machine_that_wobbles(seed: int) -> None:
    """Of 200 kernels, many within a few percent of the best; and its ratio to the baseline is true within 3%."""
    generator = np.random.default_rng(100 + seed)
    works = BASELINE * (1.1 + generator.exponential(0.4, 200))
    machine = Wobbling(seed)
    winner, reading = search(works, machine, machine.baseline)
    assert (works < works[winner]).sum() < 0.02 * len(works)
    assert reading.ratio == pytest.approx(works[winner] / BASELINE, rel=0.03)


def test_without_a_baseline_beside_the_samples_the_wobble_decides() -> None:
    """The control: by plain times, the same searches end further from the best."""

    def loss(seed: int, drift_seen: bool) -> float:
        generator = np.random.default_rng(100 + seed)
        works = BASELINE * (1.1 + generator.exponential(0.4, 200))
        machine = Wobbling(seed)
        winner, _ = search(works, machine, machine.baseline if drift_seen else lambda: BASELINE)
        return float(works[winner] / works.min())

    assert statistics.mean(loss(s, True) for s in range(8)) < statistics.mean(loss(s, False) for s in range(8))


def test_sampling_ends_when_it_is_decided() -> None:
    def samples(work: float, best: float, wobble: float = 0.0) -> int:
        machine = Wobbling(1, wobble)
        return len(sample_trial(machine.kernel(work), machine.baseline, best / BASELINE, OPTIONS).samples)

    assert samples(3e-3, 1e-3) == 1, "hopeless"
    assert samples(1.2e-3, 1e-3) == OPTIONS["min_samples"], "certainly slower"
    noisy = {**OPTIONS, "spread": 0.001}
    machine = Wobbling(2, 0.0)
    found = sample_trial(machine.kernel(1e-3), machine.baseline, 1.0, noisy)
    assert len(found.samples) == OPTIONS["max_samples"], "a tie takes all samples"


def test_a_disturbed_sample_does_not_make_a_kernel_hopeless() -> None:
    """The first sample shares its core with something else; the warming run before it did not."""
    times = iter([1e-3, 9e-3, *[1e-3] * 20])
    found = sample_trial(lambda number: next(times), lambda: 1e-3, 1.0, OPTIONS)
    assert len(found.samples) > 1 and found.ratio == pytest.approx(1.0)


def test_cold_samples_are_single_runs() -> None:
    numbers: list[int] = []

    def time(number: int) -> float:
        numbers.append(number)
        return 1e-6

    sample_trial(time, lambda: 1e-6, math.inf, {**OPTIONS, "cache": "cold"})
    assert set(numbers) == {1}
    sample_trial(time, lambda: 1e-6, math.inf, OPTIONS)
    assert max(numbers) in (1000, 1001)
