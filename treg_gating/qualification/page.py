"""The report of a qualification: one page to be printed, judged and signed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import jinja2

from treg_gating.qualification.check import Check, Verdict

__all__ = ["qualification_page"]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Qualification of treg-gating</title><style>
body { font: 14px/1.45 system-ui, sans-serif; color: #1b1f24; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .3rem; } h2 { font-size: 1.1rem; margin-top: 1.8rem; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th, td { padding: .25rem .5rem; border-bottom: 1px solid #d8dee4; text-align: left; vertical-align: top; }
th { background: #f6f8fa; } dl { display: grid; grid-template-columns: 11rem 1fr; margin: .8rem 0; }
dt { color: #57606a; } dd { margin: 0; overflow-wrap: anywhere; }
.verdict { font-weight: 600; white-space: nowrap; } .FAILED { color: #b3261e; } .passed { color: #1a6b35; }
.conclusion { border: 2px solid; padding: .6rem 1rem; font-size: 1.05rem; }
.signatures td { height: 2.6rem; border: 1px solid #8c959f; } .signatures th { border: 1px solid #8c959f; }
@media print { body { margin: 0; max-width: none; font-size: 11px; } tr, .signatures { break-inside: avoid; } }
</style></head><body>
<h1>Qualification of treg-gating</h1>
<dl>{% for name, value in about.items() %}<dt>{{ name }}</dt><dd>{{ value }}</dd>{% endfor %}</dl>
<p class="conclusion {{ 'FAILED' if failed else 'passed' }}">{{ conclusion }}</p>
{% for title, words, rows in parts %}<h2>{{ title }}</h2><p>{{ words }}</p>
<table><thead><tr><th>#</th><th>check</th><th>expected</th><th>found</th><th>verdict</th></tr></thead><tbody>
{% for row in rows %}<tr><td>{{ row.part }}{{ loop.index }}</td><td>{{ row.name }}</td><td>{{ row.expected }}</td>
<td>{{ row.found }}</td><td class="verdict {{ row.verdict }}">{{ row.verdict }}</td></tr>
{% endfor %}</tbody></table>
{% endfor %}<h2>Judgement</h2>
<table class="signatures"><thead><tr><th></th><th>name</th><th>function</th><th>date</th><th>signature</th></tr></thead>
<tbody><tr><td>Performed by</td><td></td><td></td><td></td><td></td></tr>
<tr><td>Reviewed by</td><td></td><td></td><td></td><td></td></tr>
<tr><td>Accepted for use by quality assurance</td><td></td><td></td><td></td><td></td></tr></tbody></table>
<p>Deviations and their assessment:</p><table class="signatures"><tr><td style="height:5rem"></td></tr></table>
</body></html>
"""
_TITLES = {
    "IQ": (
        "Installation qualification",
        "The program's files are those of the release, and it finds the libraries it was made for.",
    ),
    "OQ": (
        "Operational qualification",
        "The reference study gives the stored results: equal counts, or within 1 % where another processor or library "
        "version rounds otherwise; and what must be refused or found is.",
    ),
}


def qualification_page(checks: Sequence[Check], about: Mapping[str, str]) -> str:
    """HTML of the report, complete in itself.

    Parameters
    ----------
    about : what is shown on top, such as host, user and time.
    """
    verdicts = Counter(check.verdict for check in checks)
    failed, left = verdicts[Verdict.FAILED], verdicts[Verdict.NOT_CHECKED]
    conclusion = f"{failed} of {len(checks)} checks FAILED." if failed else f"All {len(checks) - left} checks passed."
    if left:
        conclusion += f" {left} could not be checked."
    parts = [(*_TITLES[part], [check for check in checks if check.part == part]) for part in _TITLES]
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_PAGE).render(about=about, failed=failed, conclusion=conclusion, parts=parts)
