"""`treg-gating inspect`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from treg_gating.sample import Sample

_EPILOG = """\b
Examples:
  treg-gating inspect tube.fcs
  treg-gating inspect tube.lmd --dataset 2 --json
"""


@click.command("inspect", epilog=_EPILOG)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON, keywords included.")
@click.option("--dataset", type=click.IntRange(min=1), help="Which data set of a file that holds several.")
def command(file: Path, as_json: bool, dataset: int | None) -> int:
    """Show what an FCS FILE holds. It is read to its end, so what is shown can be trusted."""
    from treg_gating.fcs import read_fcs

    sample = read_fcs(file, dataset)
    if as_json:
        click.echo(json.dumps(_plain(sample), ensure_ascii=False, indent=2))
    else:
        _print(sample)
    return 0


def _plain(sample: Sample) -> dict[str, Any]:
    spillover = sample.spillover
    return {
        "file": sample.path,
        "version": sample.version,
        "sha256": sample.sha256,
        "n_events": sample.n_events,
        "state": str(sample.state),
        "channels": [
            {"name": channel.name, "marker": channel.marker, "range": channel.range} for channel in sample.channels
        ],
        "spillover": spillover
        and {"channels": list(spillover.channels), "matrix": spillover.matrix.tolist(), "source": spillover.source},
        "warnings": [{"code": warning.code, "text": warning.text} for warning in sample.warnings],
        "keywords": dict(sample.keywords),
    }


def _print(sample: Sample) -> None:
    from treg_gating.panel import canonical_marker

    keywords = sample.keywords
    click.echo(f"{sample.path}\n{sample.version}, {sample.n_events:,} events, {sample.state}")
    acquired = " ".join(filter(None, (keywords.get("$DATE", ""), keywords.get("$BTIM", ""))))
    click.echo(f"Acquired  {acquired or 'not said'} on {keywords.get('$CYT') or 'an instrument not named'}")
    click.echo(f"SHA-256   {sample.sha256}")
    width = max((len(channel.name) for channel in sample.channels), default=0)
    click.echo("Channels")
    for channel in sample.channels:
        known = canonical_marker(channel.marker) if channel.marker else ""
        understood = f"  (= {known})" if known and known != channel.marker else ""
        click.echo(f"  {channel.name:<{width}}  {channel.marker}{understood}".rstrip())
    if sample.spillover is None:
        click.echo("Spillover none in the file")
    else:
        matrix = sample.spillover
        off = abs(matrix.matrix - _diagonal(matrix.matrix)).max()
        click.echo(
            f"Spillover {len(matrix.channels)} channels, largest {100 * off:.1f} %, condition {matrix.condition:.1f}"
        )
    for warning in sample.warnings:
        click.echo(f"Warning   {warning}")


def _diagonal(matrix: Any) -> Any:
    import numpy as np

    return np.diag(np.diag(matrix))
