"""What listeners keep of a search: the log, the curve, and the result as a notebook shows it."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

import autotune
from autotune.cli import main
from autotune.display.curve import curve

SMALL = {"in_channels": 8, "out_channels": 16, "height": 14, "width": 14}


def test_the_log_and_the_curve_of_a_search(tmp_path: Path) -> None:
    drawn = autotune.Curve()
    assert "no trial has worked yet" in drawn._repr_html_()
    log = tmp_path / "log.jsonl"
    result = autotune.tune(
        "conv2d", trials=6, database=tmp_path / "tuning.db", listeners=[drawn, autotune.TrialLog(log)], **SMALL
    )
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["start", *["trial"] * 6, "finish"]
    assert [line["number"] for line in lines[1:-1]] == [1, 2, 3, 4, 5, 6]
    assert lines[-1]["seconds"] == result.seconds and 0 < lines[-1]["limit_fraction"] < 1.2
    assert drawn.times == [line["seconds"] for line in lines[1:-1]]
    assert "<svg" in drawn._repr_html_() and "limit" in drawn._repr_html_()
    shown = result._repr_html_()
    assert "GFLOP/s" in shown and "of what the compute roof allows" in shown and "cache_write" in shown


def test_curves_are_well_formed() -> None:
    svg = ElementTree.fromstring(curve([None, 3e-3, 2e-3, None, 9.0, 1e-3], limit=8e-4))
    assert len(svg.findall("circle")) == 6 and len(svg.findall("path")) == 1
    assert [text.text for text in svg.findall("text")] == ["1.000 ms", "3.000 ms", "6 trials", "limit"]
    heights = [float(circle.attrib["cy"]) for circle in svg.findall("circle")]
    assert heights[5] > heights[2] > heights[1] >= heights[4], "faster is further down"
    assert curve([None]) == curve([]) == "" and ElementTree.fromstring(curve([1.0])) is not None


def test_a_log_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        main(["conv2d", "--db", str(tmp_path / "tuning.db"), "--log", str(tmp_path / "no" / "log")])
    assert capsys.readouterr().err == f"Error: {tmp_path / 'no' / 'log'}: No such file or directory\n"
