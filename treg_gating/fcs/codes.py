"""Every fault and oddity the reader knows: its stable code, what it means, what to do.

The table in ``docs/reading_fcs.md`` is checked against this file by a test; the action of an error is taken from here.
"""

from __future__ import annotations

__all__ = ["ERRORS", "WARNINGS"]

_EXPORT = "Export the file again from the acquisition software"
_COPY = "Copy the file again from the instrument computer and compare checksums"

ERRORS: dict[str, tuple[str, str]] = {
    "E_OPEN": ("the path cannot be opened: absent, no permission, a loop of links", "Check the path and its rights"),
    "E_NOT_REGULAR": ("directory, named pipe, device or socket instead of a file", "Name a regular file"),
    "E_TOO_LARGE": ("the file is larger than the limit", "Raise max_bytes if the file is really that large"),
    "E_EMPTY": ("the file holds no bytes", _COPY),
    "E_NOT_FCS": (
        "the file does not begin as an FCS file does",
        "Check that this is the file as the instrument wrote it",
    ),
    "E_VERSION": ("an FCS version other than 2.0, 3.0, 3.1 and 3.2", "Export the file as FCS 3.1"),
    "E_TRUNCATED": ("the file ends before its HEADER, TEXT or DATA does", _COPY),
    "E_CHANGED": ("the file changed while it was read", "Wait until it is written completely, then read it again"),
    "E_OFFSETS": ("byte offsets that are no numbers, contradict each other or point to the wrong place", _EXPORT),
    "E_TEXT": ("the TEXT segment cannot be split into keywords and values without doubt", _EXPORT),
    "E_KEYWORD": ("a keyword is absent, given twice with two values, or its value is no legal one", _EXPORT),
    "E_PARAMETER": ("$PAR and the parameter keywords do not describe one set of distinct channels", _EXPORT),
    "E_COUNT": ("$TOT × bytes an event is not the size of DATA", _COPY),
    "E_MODE": ("histogram data instead of list mode", "Export the file in list mode ($MODE L)"),
    "E_DATATYPE": ("an unknown data type, or a width that does not go with it", _EXPORT),
    "E_ASCII": (
        "$DATATYPE A: numbers written as text, deprecated since FCS 3.1, are read only where that is asked for",
        "Export as float ($DATATYPE F), convert it (treg-gating convert IN OUT --ascii) or read_fcs(path, ascii=True)",
    ),
    "E_NUMBER": ("what stands in DATA of $DATATYPE A is not a whole number, or not one a value", _EXPORT),
    "E_BYTEORD": ("a byte order that is neither little nor big endian", _EXPORT),
    "E_RANGE": ("integers beyond what $PnR and $PnB allow; masking would wrap them to small numbers", _EXPORT),
    "E_SPILLOVER": (
        "the spillover matrix in the file is malformed or unusable",
        "Mend the keyword at its source, or give a matrix as CSV and read with ignore_spillover",
    ),
    "E_ZERO_RUN": ("a stretch of DATA is all zeros: lost pages or an unfinished copy", _COPY),
    "E_REPEATED": ("a stretch of DATA occurs twice, or all events are the same", _COPY),
    "E_VALUES": ("values no instrument writes: wrong byte order, a shifted window, or a channel of NaN", _EXPORT),
    "E_TIME": ("Time runs backwards in more than 1 % of the steps: shifted or reordered events", _EXPORT),
    "E_CRC": ("the checksum in the file is not the checksum of the file", _COPY),
    "E_DATASETS": (
        "several data sets in one file and none chosen, or a number the file does not have",
        "Choose one: dataset=1 is the first (on the command line --dataset, in a sheet the column dataset)",
    ),
    "E_CHANNELS": ("a channel asked for by name is not in the file", "Name channels by their $PnN"),
    "E_WRITE": ("something cannot be written as FCS 3.1 so that it reads back equal", "Change the value named"),
}

WARNINGS: dict[str, str] = {
    "W_HEADER_OFFSETS": "HEADER does not say where DATA lies though it could; the offsets in TEXT were used",
    "W_TEXT_OFFSETS": "$BEGINDATA or $ENDDATA is absent or contradicts HEADER; the offset that fits $TOT was used",
    "W_END_OF_DATA": "the end of DATA is one byte past or short, or equals its beginning; $TOT was used",
    "W_ANALYSIS": "the offsets of the ANALYSIS segment are blank or lie outside the file; it is not read anyway",
    "W_GAP": "bytes that no offset names lie between the segments or after them",
    "W_TOT": "$TOT is absent; the number of events follows from the size of DATA",
    "W_MODE": "$MODE is absent; list mode assumed",
    "W_NEXTDATA": "$NEXTDATA is absent, or points outside the file; one data set assumed",
    "W_DATASETS": "what looks like another data set lies behind this one and no keyword names it",
    "W_EMPTY_VALUE": "keywords with an empty value, which the standard forbids; the next keyword was not swallowed",
    "W_TEXT_END": "the TEXT segment does not end in its delimiter, or blanks or a lone word follow the last one",
    "W_ENCODING": "TEXT is not UTF-8; read as Latin-1",
    "W_PADDED": "values padded with blanks; blanks removed",
    "W_CASE": "a value that should be in capitals is not",
    "W_KEYWORD": "keywords that begin with $ but are none of the standard's; perhaps damaged ones",
    "W_EXTRA_PARAMETER": "keywords of parameters beyond $PAR; ignored",
    "W_AMPLIFICATION": "$PnE absent, invalid, or logarithmic where the data are not integers; see the text",
    "W_GAIN": "$PnG is zero or blank, or stands where it has no meaning; not applied",
    "W_RANGE": "$PnR exceeds the width of the data, is exceeded by values, or is not positive",
    "W_MASK": "the bits above $PnR hold marks of the instrument on every event; masked as the standard says",
    "W_STEXT": "what the supplemental TEXT offsets point to is a foreign file, not TEXT; ignored",
    "W_WIDTH": "integers of an unusual width",
    "W_BYTEORD": "$BYTEORD names another number of bytes than the data have",
    "W_TIMESTEP": "$TIMESTEP is absent; Time is in the instrument's own ticks",
    "W_TIME": "Time runs backwards in places: acquisitions joined, or the clock wrapped",
    "W_NONFINITE": "NaN or infinite values",
    "W_MAGNITUDE": "single values beyond what instruments write",
    "W_CONSTANT": "a channel holds one value only: dead laser or detector",
    "W_CRC": "the checksum field holds no checksum",
    "W_SPILLOVER": "the spillover keyword is empty, stated several times, or was mended or ignored; see the text",
    "W_COMPENSATED": "channel names say that the values were compensated before export",
}
