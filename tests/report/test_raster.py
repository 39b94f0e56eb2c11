"""Densities as images: no event is lost from sight, none is invented."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from treg_gating.report import raster


def decoded(uri: str) -> np.ndarray:
    head, body = uri.split(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))).convert("RGBA"))


def test_orientation_and_emptiness() -> None:
    counts = np.zeros((3, 2), dtype=np.uint32)
    counts[2, 0] = 50  # right, bottom
    counts[0, 1] = 1  # left, top
    pixels = decoded(raster.density_uri(counts))
    assert pixels.shape == (2, 3, 4)
    seen = pixels[:, :, 3] > 0
    assert seen.tolist() == [[True, False, False], [False, False, True]]
    assert pixels[1, 2, :3].sum() > pixels[0, 0, :3].sum()  # more events, brighter


def test_single_events_show_beside_a_million() -> None:
    counts = np.zeros((64, 64), dtype=np.uint32)
    counts[10, 10], counts[50, 50] = 1_000_000, 1
    levels = raster.density_levels(counts)
    assert levels[50, 50] == 1
    assert levels[10, 10] == raster.LEVELS
    assert (levels > 0).sum() == 2


def test_fine_histograms_are_summed_down() -> None:
    counts = np.ones((250, 96), dtype=np.uint16)
    levels = raster.density_levels(counts)
    assert levels.shape == (84, 96)
    assert (levels > 0).all()
    assert len(raster.density_uri(np.eye(256, dtype=np.uint8))) < 2000


def test_empty_density_is_an_empty_image() -> None:
    pixels = decoded(raster.density_uri(np.zeros((8, 8), dtype=np.uint32)))
    assert not pixels[:, :, 3].any()


def test_display_histogram_keeps_place_and_proportion() -> None:
    counts = np.zeros(80, dtype=np.uint32)
    counts[20], counts[60] = 400, 100
    heights = raster.display_histogram(counts)
    assert heights.max() == 1
    assert int(heights.argmax()) == 20
    assert abs(heights[60] - 0.25) < 1e-12
    assert not raster.display_histogram(np.zeros(80, dtype=np.uint32)).any()


def test_edge_bins_keep_their_events() -> None:
    counts = np.zeros(64, dtype=np.uint32)
    counts[0] = 100
    heights = raster.display_histogram(counts)
    inner = raster.display_histogram(np.roll(counts, 32))
    # Half of an inner peak's skirt is folded back at the edge: more height there, never less.
    assert heights[:4].sum() / heights.sum() > 0.99
    assert inner.sum() > heights.sum()


def test_the_palette_is_viridis() -> None:
    from matplotlib import colormaps

    colours = colormaps["viridis"](np.linspace(0.0, 0.94, raster.LEVELS))[:, :3]
    np.testing.assert_array_equal(raster.palette()[1:], np.round(255 * colours))
    assert raster.palette()[0].tolist() == [255, 255, 255]
