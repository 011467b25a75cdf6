"""``autotune targets``: what code can be generated for, and what this machine is."""

from __future__ import annotations

import click

from autotune.cli.report import plural, table
from autotune.errors import TargetError
from autotune.targets.facts import TARGETS, Target
from autotune.targets.host import host_device, host_features, native_target, supports


@click.command("targets", help="The targets, and which of them this machine runs.")
def command() -> None:
    width = max(map(len, TARGETS))
    for name, target in TARGETS.items():
        runs = "runs here" if supports(target) else "code only"
        click.echo(f"{name:<{width}}  {runs}  {_facts(target)}")
    click.echo("\nThis machine")
    try:
        native = native_target()
    except TargetError as error:
        click.echo(f"  {error}")
        return
    device = host_device()
    click.echo(
        table(
            {
                "device": f"{device.name}, {plural(int(str(device.facts['cores'])), 'core')}",
                "native": f"{native.name}, {_facts(native)}",
                "caches": ", ".join(
                    f"L{level} {size >> 10} KiB"
                    for level, size in enumerate((native.caches.l1, native.caches.l2, native.caches.l3), 1)
                ),
                "features": " ".join(sorted(host_features())),
            }
        )
    )


def _facts(target: Target) -> str:
    masked = ", masked tails" if target.masked else ""
    return f"{target.vector_bytes * 8}-bit vectors, {target.vector_registers} registers{masked}"
