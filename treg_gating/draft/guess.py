"""From names and keywords to the rows of a sheet: each cell is a guess with its source, or a gap with its reason.

A cell is guessed where all that speaks of it agrees. Where a file's name and its keywords contradict each other the
cell stays a gap that says so: a person decides.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from treg_gating.draft.names import Words, is_mere_name, natural_key, read_words
from treg_gating.draft.scan import Scan, ScannedFile, Unreadable
from treg_gating.instrument import acquired_on
from treg_gating.marker_names import Lexicon, base_detector, measure
from treg_gating.panel import canonical_marker
from treg_gating.study import Study, default_study, fold_visit
from treg_gating.tube import Role

__all__ = ["COLUMNS", "Draft", "DraftRow", "Guess", "draft_sheet"]

COLUMNS = ("subject", "visit", "batch", "role", "control_for", "tube_id")
_SUBJECT_KEYWORDS = ("PATIENT ID", "PATIENTID", "SUBJECT ID", "SUBJECTID", "SUBJECT", "USUBJID")
_TEXT_KEYWORDS = ("TUBE NAME", "TUBE_NAME", "$SRC", "SAMPLE ID", "SAMPLE_NAME")
_EXPERIMENT_KEYWORDS = ("EXPERIMENT NAME", "EXPERIMENT_NAME", "$PROJ")
# A well of a 96-well plate or a running number, which instruments fill in unasked.
_PLACE = re.compile(r"[A-H](0?[1-9]|1[0-2])|\d{1,3}", re.IGNORECASE)
_SPECIFIC = (Role.FMO, Role.SINGLE_STAIN, Role.UNSTAINED)


@dataclass(frozen=True, slots=True)
class Guess:
    """A cell of the draft.

    Parameters
    ----------
    value : what stands in the cell; empty for a gap and for a cell that nothing is said about.
    source : where the value comes from.
    gap : why a person must fill the cell; empty where it is filled, or need not be.
    """

    value: str = ""
    source: str = ""
    gap: str = ""


@dataclass(frozen=True)
class DraftRow:
    """One tube.

    Parameters
    ----------
    file : path below the folder.
    cells : by column name; all of :data:`COLUMNS` and ``dataset``.
    events, acquired, instrument, markers : from the header, to help a person fill the gaps.
    """

    file: str
    cells: Mapping[str, Guess]
    events: int
    acquired: str
    instrument: str
    markers: tuple[str, ...]

    @property
    def role(self) -> str:
        """The guessed role, or nothing."""
        return self.cells["role"].value

    @property
    def sources(self) -> str:
        """Where the guesses of the row come from, in words."""
        return "; ".join(f"{name}: {guess.source}" for name, guess in self.cells.items() if guess.value)


@dataclass(frozen=True)
class Draft:
    """A drafted sheet.

    Parameters
    ----------
    rows : samples by subject and visit, then controls.
    study : the plan that is there, or the visits seen, by target day as far as names tell it.
    unreadable : files left out, with their reason.
    """

    rows: tuple[DraftRow, ...]
    study: Study
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def gaps(self) -> int:
        """Cells that a person must fill."""
        return sum(bool(guess.gap) for row in self.rows for guess in row.cells.values())


@dataclass(frozen=True, slots=True)
class _Said:
    """One text about a file, read."""

    where: str
    words: Words


def draft_sheet(scan: Scan, study: Study | None = None) -> Draft:
    """Draft a sheet.

    Parameters
    ----------
    study : a plan that is there already; visits are then written as it names them.
    """
    said = {found.file: list(_texts(found)) for found in scan.files}
    batches, folders = _batches(scan.files, said), _subject_folders(said)
    rows = [_row(found, said[found.file], batches[found.file], folders, study) for found in scan.files]
    rows = _with_tube_ids(sorted(rows, key=lambda row: natural_key(row.file)), said)
    visits = list(dict.fromkeys(row.cells["visit"].value for row in rows if row.cells["visit"].value))
    plan = study or default_study(visits)
    order = {name: at for at, name in enumerate(plan.visit_names)}
    rows.sort(key=lambda row: _place(row, order))
    return Draft(tuple(rows), plan, scan.unreadable)


def _place(row: DraftRow, order: Mapping[str, int]) -> tuple[object, ...]:
    visit = row.cells["visit"].value
    is_control = row.role not in {"", Role.SAMPLE}
    by_subject = natural_key(row.cells["subject"].value)
    return (is_control, row.cells["batch"].value if is_control else "", by_subject, order.get(visit, 999), row.file)


def _texts(found: ScannedFile) -> Iterator[_Said]:
    """Everything that may speak of a file, the nearest first."""
    path = PurePosixPath(found.file)
    yield _Said(f"file name {path.stem!r}", read_words(path.stem))
    for folder in reversed(path.parent.parts):
        yield _Said(f"folder {folder!r}", read_words(folder))
    keywords = found.header.keywords
    for name in _SUBJECT_KEYWORDS:
        if value := keywords.get(name, "").strip():
            yield _Said(f"keyword {name} {value!r}", Words(subject=value))
    for name in _TEXT_KEYWORDS:
        value = keywords.get(name, "").strip()
        if value and not _PLACE.fullmatch(value):
            yield _Said(f"keyword {name} {value!r}", read_words(value))


def _row(
    found: ScannedFile, said: Sequence[_Said], batch: Guess, folders: Mapping[str, Guess], study: Study | None
) -> DraftRow:
    role = _role(said)
    needed = role.value in {"", Role.SAMPLE}
    cells = {
        "subject": folders.get(found.file) or _agreed(said, "subject", needed),
        "visit": _visit(_agreed(said, "visit", needed), study, needed),
        "batch": batch,
        "role": role,
        "control_for": _control_for(found, said, role),
        "tube_id": Guess(),
        "dataset": _dataset(found),
    }
    header = found.header
    lexicon = Lexicon()
    markers = [lexicon.markers_in(channel.marker) or {channel.marker} for channel in header.channels if channel.marker]
    return DraftRow(
        found.file,
        cells,
        header.n_events,
        " ".join(
            filter(None, (acquired_on(header.keywords.get("$DATE", "")), header.keywords.get("$BTIM", "").strip()))
        ),
        header.keywords.get("$CYT", "").strip(),
        tuple(sorted({name for names in markers for name in names}, key=natural_key)),
    )


def _dataset(found: ScannedFile) -> Guess:
    several = found.header.n_datasets
    return Guess(gap=f"the file holds {several} data sets: write 1 to {several}" if several > 1 else "")


def _agreed(said: Sequence[_Said], name: str, needed: bool) -> Guess:
    """What all texts that name it say alike; the spelling of the first."""
    heard = [(getattr(text.words, name), text.where) for text in said if getattr(text.words, name)]
    if not heard:
        return Guess(gap=f"neither name, folder nor keywords tell the {name}" if needed else "")
    if len({_folded(value) for value, _ in heard}) > 1:
        each = ", ".join(f"{where} says {value!r}" for value, where in heard)
        return Guess(gap=f"contradiction: {each}")
    return Guess(heard[0][0], heard[0][1])


def _subject_folders(said: Mapping[str, Sequence[_Said]]) -> dict[str, Guess]:
    """Subjects by folders of any name, for sample files that tell a visit and of which nothing else tells the subject.

    Only where such folders set files apart: one that holds all of them is no subject's.
    """
    found: dict[str, Guess] = {}
    for file, texts in said.items():
        words = [text.words for text in texts]
        if any(one.subject or one.not_a_role for one in words) or not any(one.visit for one in words):
            continue
        names = [name for name in reversed(PurePosixPath(file).parent.parts) if is_mere_name(name)]
        if names and _role(texts).value == Role.SAMPLE:
            found[file] = Guess(names[0], f"folder {names[0]!r}, as nothing else tells the subject")
    return found if _distinct(found) > 1 else {}


def _folded(text: str) -> str:
    """Without case and punctuation, and without the zeros that lead a number: 'Patient 03' and 'patient_3' are one."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[\W_]+", "", text).casefold())


def _visit(guess: Guess, study: Study | None, needed: bool) -> Guess:
    if study is None or not guess.value:
        return guess
    planned = study.find_visit(guess.value)
    if planned is None:
        gap = f"{guess.source} says {guess.value!r}, which study.toml does not plan"
        return Guess(gap=gap if needed else "")
    return Guess(planned, guess.source)


def _role(said: Sequence[_Said]) -> Guess:
    odd = next((text for text in said if text.words.not_a_role), None)
    heard = [(text.words.role, text.where) for text in said if text.words.role is not None]
    specific = [item for item in heard if item[0] in _SPECIFIC]
    if any(role is Role.UNSTAINED for role, _ in specific):
        # An unstained tube lies among the compensation controls, whose common name is then its specimen's.
        specific = [item for item in specific if item[0] is not Role.SINGLE_STAIN]
    if len({role for role, _ in specific}) > 1:
        return Guess(gap="contradiction: " + ", ".join(f"{where} says {role}" for role, where in specific))
    for role, where in (*specific, *heard):
        return Guess(str(role), where)
    if odd is not None:
        words = odd.words.not_a_role
        return Guess(gap=f"{odd.where} names {words!r}, a tube this program has no use for: delete the row, or choose")
    return Guess(str(Role.SAMPLE), "no word says that it is a control")


def _control_for(found: ScannedFile, said: Sequence[_Said], role: Guess) -> Guess:
    if role.value not in {Role.FMO, Role.SINGLE_STAIN}:
        return Guess()
    left_out = role.value == Role.FMO
    missing = "the marker that is " + ("left out, such as FOXP3" if left_out else "stained, or its detector")
    for text in said:
        written = text.words.control_for
        if not written:
            continue
        if Lexicon().canonical(written):
            return Guess(canonical_marker(written), text.where)
        return _by_detector(found, written, text.where, left_out)
    return Guess(gap=f"nothing tells {missing}")


def _by_detector(found: ScannedFile, written: str, where: str, left_out: bool) -> Guess:
    """A dye names a detector, and the file says which marker was meant for it."""
    wanted = base_detector(written)
    hits = [c for c in found.header.channels if base_detector(c.name) == wanted and measure(c.name) in {"A", ""}]
    by_label = [c for c in found.header.channels if wanted and base_detector(c.marker) == wanted]
    channels = hits or [c for c in by_label if measure(c.name) in {"A", ""}]
    if len(channels) != 1:
        return Guess(gap=f"{where} says {written!r}, which is no detector of the file")
    if not left_out:
        return Guess(channels[0].name, f"{where}, detector of the file")
    if not channels[0].marker:
        return Guess(gap=f"{where} says {written!r}; the file names no marker there")
    known = Lexicon().markers_in(channels[0].marker)
    marker = next(iter(known)) if len(known) == 1 else channels[0].marker
    return Guess(marker, f"{where}, where the file names it")


def _batches(files: Sequence[ScannedFile], said: Mapping[str, Sequence[_Said]]) -> dict[str, Guess]:
    """One source of batches for the whole folder: of those that speak of half the files, the one that speaks of most.

    A source that gives nearly every tube a batch of its own tells no batches: acquisition on many days, for instance.
    """
    sources: list[dict[str, Guess]] = [{}, {}, {}]
    for found in files:
        if (named := _agreed(said[found.file], "batch", False)).value:
            sources[0][found.file] = named
        keywords = found.header.keywords
        for name in _EXPERIMENT_KEYWORDS:
            if value := keywords.get(name, "").strip():
                sources[1].setdefault(found.file, Guess(value, f"keyword {name}"))
        if day := acquired_on(keywords.get("$DATE", "")):
            sources[2][found.file] = Guess(day, "day of acquisition, keyword $DATE")
    usable = [source for source in sources if 2 * len(source) >= len(files) and 2 * _distinct(source) <= len(source)]
    best = max(usable, key=len, default={})
    gap = Guess(gap="the other files tell their batch, this one does not") if best else Guess()
    return {found.file: best.get(found.file, gap) for found in files}


def _distinct(source: Mapping[str, Guess]) -> int:
    return len({guess.value for guess in source.values()})


def _with_tube_ids(rows: Sequence[DraftRow], said: Mapping[str, Sequence[_Said]]) -> list[DraftRow]:
    """Tube names where files have them; a person's word where two sample tubes would stand for one visit."""
    twins = Counter(key for row in rows if (key := _visit_key(row)))
    named = []
    for row in rows:
        key = _visit_key(row)
        if key and twins[key] > 1:
            guess = Guess(
                gap=f"{twins[key]} sample tubes of this subject and visit: delete the rows that are not to be counted, "
                "or, if all are, give each a name here"
            )
        else:
            guess = _agreed(said[row.file], "tube", False)
            guess = Guess() if guess.gap else guess
        named.append(replace(row, cells={**row.cells, "tube_id": guess}))
    return named


def _visit_key(row: DraftRow) -> tuple[str, str] | None:
    subject, visit = row.cells["subject"].value, row.cells["visit"].value
    return (subject, fold_visit(visit)) if row.role == Role.SAMPLE and subject and visit else None
