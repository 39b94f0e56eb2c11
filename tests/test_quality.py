"""Quality control: margins, and disturbed stretches of time found where they are and nowhere else."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from treg_gating.fcs import read_fcs
from treg_gating.flags import FlagLevel
from treg_gating.folding import Extremes
from treg_gating.quality import assess
from treg_gating.quality.margins import look_at_ends, raw_ranges
from treg_gating.quality.scores import levels_of, scores_of
from treg_gating.quality.time import every_of
from treg_gating.sample import Channel, Sample, StoredEvents
from treg_gating.simulate import PRESETS, Disturbance, plan_cohort, simulate_tube

CHANNELS = (
    Channel("FSC-A", range=262144.0),
    Channel("SSC-A", range=262144.0),
    Channel("PE-A", range=262144.0),
    Channel("Time"),
)
USED = ("FSC-A", "SSC-A", "PE-A")


def _tube(n=20_000, *, factor=None, rate=None, seed=1):
    """Two kinds of cells on three channels; `factor` multiplies the light, `rate` the rate, by event."""
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.4
    light = np.where(positive, 10_000.0, 120.0) * rng.lognormal(0, 0.35, n)
    scatter = rng.lognormal(np.log([90_000.0, 40_000.0]), 0.2, (n, 2))
    light = light * (1.0 if factor is None else factor)
    gaps = rng.exponential(1e-3, n) / (1.0 if rate is None else rate)
    events = np.column_stack([scatter, light, np.cumsum(gaps)]).astype(np.float32)
    return Sample(events, CHANNELS)


def _at(sample, first, last):
    mask = np.zeros(sample.n_events, dtype=bool)
    mask[first:last] = True
    return mask


def test_nothing_is_removed_from_an_even_tube():
    report = assess(_tube(), USED)
    assert report.kept.all()
    assert report.numbers == {"margin_pct": 0.0, "time_removed_pct": 0.0}
    assert report.flags == ()


def test_a_shift_of_one_detector_is_removed_where_it_is():
    factor = np.ones(20_000)
    factor[8_000:10_000] = 10**-0.25
    sample = _tube(factor=factor)
    report = assess(sample, USED)
    lost = ~report.kept
    inside = _at(sample, 8_000, 10_000)
    assert lost[inside].mean() > 0.99
    assert lost[~inside].mean() < 0.02
    assert len(report.removed) == 1
    assert report.causes[0].startswith(("all fluorescence -", "PE-A -"))
    assert [(flag.code, flag.level) for flag in report.flags] == [("TIME", FlagLevel.NOTE)]


def test_a_change_too_small_to_matter_stays():
    factor = np.ones(20_000)
    factor[8_000:10_000] = 10**-0.02
    assert assess(_tube(factor=factor), USED).kept.all()


@pytest.mark.parametrize(("speed", "name"), [(6.0, "burst"), (0.15, "clog")])
def test_a_short_stretch_at_another_rate_goes_although_its_signals_are_right(speed, name):
    rate = np.ones(20_000)
    rate[5_000:6_000] = speed
    report = assess(_tube(rate=rate), USED)
    lost = ~report.kept
    assert lost[5_000:6_000].mean() > 0.95, name
    assert lost.mean() < 0.07
    assert "rate" in report.causes[0]


def test_a_rate_that_was_turned_up_for_good_stays():
    rate = np.ones(20_000)
    rate[10_000:] = 3.0
    assert assess(_tube(rate=rate), USED).kept.all()


@pytest.mark.parametrize(("share", "level"), [(0.30, FlagLevel.REVIEW), (0.60, FlagLevel.FAIL)])
def test_much_removed_is_flagged_and_more_than_half_fails(share, level):
    n = 20_000
    factor = np.ones(n)
    edges = int(n * share / 2)
    # Two different disturbances, so that the undisturbed part is what most of the tube is like.
    factor[:edges], factor[-edges:] = 0.2, 5.0
    report = assess(_tube(factor=factor), USED)
    assert report.numbers["time_removed_pct"] == pytest.approx(100 * share, abs=3)
    assert [flag.level for flag in report.flags] == [level]
    assert "limit" in report.flags[0].text


def test_the_order_in_the_file_does_not_matter():
    factor = np.ones(20_000)
    factor[8_000:10_000] = 0.5
    sample = _tube(factor=factor)
    order = np.random.default_rng(5).permutation(sample.n_events)
    shuffled = Sample(sample.events[order], CHANNELS)
    assert np.array_equal(assess(shuffled, USED).kept, assess(sample, USED).kept[order])


def test_how_the_events_lie_in_memory_does_not_matter():
    factor = np.ones(20_000)
    factor[8_000:10_000] = 0.5
    sample = _tube(factor=factor)
    as_columns = Sample(np.asfortranarray(sample.events, dtype=np.float64), CHANNELS)
    here, there = assess(sample, USED), assess(as_columns, USED)
    assert here.removed
    assert (here.removed, here.causes, here.ends) == (there.removed, there.causes, there.ends)
    assert np.array_equal(here.kept, there.kept)


def test_a_clock_that_starts_again_is_joined_and_told():
    sample = _tube()
    events = sample.events.copy()
    events[:, 3] = events[:, 3] % (events[-1, 3] * 0.6)
    report = assess(Sample(events, CHANNELS), USED)
    assert [flag.code for flag in report.flags] == ["CLOCK"]
    assert report.kept.all()
    assert (np.diff(report.timeline["seconds"]) >= 0).all()


def test_without_time_it_says_so():
    sample = _tube()
    report = assess(Sample(sample.events[:, :3], CHANNELS[:3]), USED)
    assert [flag.code for flag in report.flags] == ["NO_TIME_QC"]
    assert "no Time channel" in report.flags[0].text
    assert "time_removed_pct" not in report.numbers
    assert report.kept.all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 5.0])
def test_a_time_that_is_not_time_is_not_used(wrong):
    sample = _tube()
    events = sample.events.copy()
    if wrong == 5.0:
        events[:, 3] = wrong
    else:
        events[7, 3] = wrong
    report = assess(Sample(events, CHANNELS), USED)
    assert [flag.code for flag in report.flags] == ["NO_TIME_QC"]
    assert report.kept.all()


@pytest.mark.parametrize("n", [0, 1, 2, 500])
def test_few_events_are_not_judged(n):
    report = assess(_tube(n), USED)
    assert report.kept.all()
    assert "time_removed_pct" not in report.numbers


def test_a_clock_of_whole_seconds_is_enough_for_signals():
    factor = np.ones(20_000)
    factor[8_000:10_000] = 0.5
    sample = _tube(factor=factor)
    events = sample.events.copy()
    events[:, 3] = np.floor(events[:, 3])
    report = assess(Sample(events, CHANNELS), USED)
    lost = ~report.kept
    assert lost[8_000:10_000].mean() > 0.95
    assert lost.mean() < 0.25


def test_margin_events_and_ends_are_counted_by_channel():
    sample = _tube(2_000)
    events = sample.events.copy()
    events[:30, 2] = 262143.0
    events[30:50, 0] = 0.0
    report = assess(Sample(events, CHANNELS), USED)
    assert report.numbers["margin_pct"] == pytest.approx(2.5)
    assert report.kept.sum() == 1_950
    assert report.ends["PE-A"] == (0.0, 1.5)
    assert report.ends["FSC-A"] == (1.0, 0.0)
    assert [(flag.code, flag.level) for flag in report.flags] == [("MARGIN", FlagLevel.NOTE)]


@pytest.mark.parametrize("order", ["C", "F"])
def test_margins_are_those_of_every_event_looked_at_by_itself(order):
    rng = np.random.default_rng(5)
    events = np.array(_tube(40_000).events, order=order)
    for column in range(events.shape[1] - 1):
        events[rng.integers(0, len(events), 40), column] = 262143.0
        events[rng.integers(0, len(events), 9), column] = np.nan
        events[rng.integers(0, len(events), 60), column] = events[:, column][events[:, column] > 0].min()
    events[rng.integers(0, len(events), 25), 0] = -3.0
    sample = Sample(events, CHANNELS)
    ranges = raw_ranges(sample, USED)
    kept, ends = look_at_ends(sample, StoredEvents.of(sample), ranges)
    expected = np.ones(len(events), bool)
    for name, (low, high) in ranges.items():
        values = sample.column(name)
        expected &= (values >= np.float32(low)) & (values < np.float32(high))
        at_lowest = int((values == np.nanmin(values)).sum())
        shares = (100 * at_lowest / len(events) if at_lowest > 1 else 0.0, 100 * (values >= high).sum() / len(events))
        assert ends[name] == pytest.approx(shares)
    assert 0 < expected.sum() < len(events)
    np.testing.assert_array_equal(kept, expected)
    backwards = Extremes()
    for first in range(30_000, -1, -10_000):  # as they pass, in any order
        backwards.take(first, events[first : first + 10_000])
    columns = {name: np.ascontiguousarray(sample.column(name)) for name in list(ranges)[:2]}
    again, same = look_at_ends(sample, StoredEvents(events, None, backwards), ranges, columns)
    np.testing.assert_array_equal(again, expected)
    assert same == ends


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 1.0])
@pytest.mark.parametrize("every", [1, 4])
def test_every_so_many_th_usable_event_is_followed(share, every):
    usable = np.random.default_rng(8).random(5_000) >= share
    usable[:7] = usable[-3:] = False
    usable[100:2_000] &= share < 0.5
    rows, last = every_of(usable, every) if usable.any() else ([], None)
    expected = np.flatnonzero(usable)
    np.testing.assert_array_equal(rows, expected[::every])
    assert last == (expected[-1] if len(expected) else None)


def test_a_negative_peak_on_the_digitisers_floor_is_told():
    sample = _tube(2_000)
    events = sample.events.copy()
    events[:, 2] = np.maximum(events[:, 2], 130.0)
    flags = assess(Sample(events, CHANNELS), USED).flags
    assert [flag.code for flag in flags] == ["DIGITISER_FLOOR"]
    assert "PE-A" in flags[0].text


def test_a_detector_that_gives_one_value_goes_to_review():
    sample = _tube(2_000)
    events = sample.events.copy()
    events[:, 2] = 130.0
    events[:5, 2] = 4_000.0
    (flag,) = assess(Sample(events, CHANNELS), USED).flags
    assert (flag.code, flag.level) == ("DETECTOR_DEAD", FlagLevel.REVIEW)
    assert "PE-A (99.8 %)" in flag.text


def test_numbers_beyond_single_precision_are_no_errors():
    """In a float64 file on a channel that no gate uses, and in a range that float32 cannot hold."""
    sample = _tube(20_000)
    expected = assess(sample, USED)
    events = np.column_stack([sample.events.astype(np.float64), np.ones(20_000)])
    events[7, 4] = 1e300
    channels = (*CHANNELS[:2], replace(CHANNELS[2], range=1e200), CHANNELS[3], Channel("APC-A"))
    for dtype in (np.float32, np.float64):
        with np.errstate(over="ignore"):
            cast = events.astype(dtype)
        report = assess(Sample(cast, channels), USED)
        assert (report.kept == expected.kept).all()
        assert report.flags == expected.flags
    events[-1, 3] = 1e300  # a clock that goes astray; only float64 can hold it
    timeline = assess(Sample(events, channels), USED).timeline
    assert all(np.isfinite(values).all() for values in timeline.values())


def test_timeline_is_small_and_of_one_length():
    timeline = assess(_tube(50_000), USED).timeline
    n = len(timeline["rate"])
    assert n <= 600
    assert len(timeline["seconds"]) == n + 1
    assert {len(timeline[name]) for name in ("fluorescence", "scatter", "removed")} == {n}
    assert np.median(timeline["rate"]) == pytest.approx(1_000, rel=0.05)


def test_every_nth_event_gives_the_same_rate():
    timeline = assess(_tube(250_000), USED).timeline
    assert np.median(timeline["rate"]) == pytest.approx(1_000, rel=0.05)


@pytest.mark.parametrize("shift", [-0.05, -0.02, 0.02, 0.05])
def test_the_score_estimates_a_shift(shift):
    rng = np.random.default_rng(3)
    values = np.where(rng.random(40_000) < 0.5, 20_000.0, 500.0) * rng.lognormal(0, 0.4, 40_000)
    values[20_000:24_000] *= 10**shift
    rows, columns = np.arange(40_000), np.column_stack([np.full(40_000, 7.0), values])
    scores, varying = scores_of(levels_of(columns, [0, 1], rows))
    assert varying.tolist() == [1]
    edges = np.arange(0, 40_001, 4_000)
    (found,), (ranks,) = scores.shifts_and_ranks(rows, edges)
    assert found[5] - np.median(found) == pytest.approx(shift, abs=0.012)
    expected = np.searchsorted(np.sort(values), values).reshape(10, -1).mean(axis=1) / 40_000 - 0.5
    assert ranks == pytest.approx(expected, abs=1e-3)  # values of one level share a rank


def test_constant_channel_has_no_scores():
    scores, varying = scores_of(levels_of(np.full((2_000, 1), 7.0, np.float32), [0], np.arange(2_000)))
    assert varying.tolist() == scores.information.tolist() == []


PLAN = next(plan for plan in plan_cohort(PRESETS["foxp3"]) if plan.role == "sample")


@pytest.mark.parametrize("kind", ["clog", "burst", "drift", "bubble"])
@pytest.mark.parametrize("share", [0.03, 0.15])
def test_simulated_disturbances_are_found_event_by_event(kind, share):
    tube = simulate_tube(
        replace(PLAN, n_events=30_000, disturbances=(Disturbance(kind, share),), file=f"fcs/{kind}_{share}.fcs")
    )
    report = assess(tube.sample(), [channel.name for channel in tube.channels])
    lost = ~report.kept & (tube.events[:, 0] < 262143) & (tube.events[:, 2] < 262143)
    disturbed = tube.truth.disturbed
    assert (~report.kept)[disturbed].mean() >= 0.95
    assert lost[~disturbed].mean() <= 0.03


def test_an_undisturbed_simulated_tube_loses_next_to_nothing():
    tube = simulate_tube(replace(PLAN, n_events=30_000, disturbances=()))
    report = assess(tube.sample(), [channel.name for channel in tube.channels])
    assert report.numbers["time_removed_pct"] <= 1.0


def test_the_independent_cohort_loses_its_clog_and_nothing_else(shared):
    folder = shared / "data" / "independent_cohort"
    with (folder / "truth.csv").open() as file:
        clogged = {row["file"]: row["clog"] == "1" for row in csv.DictReader(file)}
    removed = {}
    for name in clogged:
        sample = read_fcs(folder / "fcs" / name)
        removed[name] = assess(sample, sample.channel_names).numbers["time_removed_pct"]
    assert len(removed) == 12
    assert all(removed[name] <= 1.0 for name, clog in clogged.items() if not clog), removed
    assert all(5 < removed[name] < 20 for name, clog in clogged.items() if clog), removed


@pytest.mark.parametrize(
    "name",
    [
        "compensation_controls/Compensation-PE.fcs",
        "flowatlas/412C/412C_unstained_raw.fcs",
        "fcs_zoo/flowio/G11.fcs",
        "fcs_zoo/fcsparser/Cytek_xP5/Cytek_xP5.fcs",
        "fcs_zoo/instruments/Stratedigm - S1400.fcs",
    ],
)
def test_good_real_files_stay_whole(shared, name):
    sample = read_fcs(shared / "data" / name)
    report = assess(sample, sample.channel_names)
    assert report.numbers["time_removed_pct"] <= 1.0, report.causes


def test_the_end_of_a_real_tube_that_ran_dry_goes(shared):
    sample = read_fcs(shared / "data" / "compensation_controls" / "Compensation-Unstained.fcs")
    report = assess(sample, sample.channel_names)
    assert report.removed[-1][0] > 60
    assert report.numbers["time_removed_pct"] < 5


def test_a_tube_without_channels_to_follow_has_no_scores() -> None:
    scores, channels = scores_of(np.zeros((0, 100), np.uint16))
    assert len(channels) == 0
    assert len(scores.information) == 0
