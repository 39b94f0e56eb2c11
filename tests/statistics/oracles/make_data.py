"""Make the incomplete data sets that mmrm.R fits: three arms, three visits, values missing at random.

Run from this folder: ``python make_data.py && Rscript mmrm.R``.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

# seed, subjects an arm, missing share, visits, dropout (monotone) or not
SETS = {
    "a": (11, 10, 0.15, 3, False),
    "b": (12, 10, 0.25, 3, True),
    "c": (13, 14, 0.10, 4, False),
    "d": (14, 8, 0.2, 2, False),
}


def main() -> None:
    for name, (seed, per_arm, missing, visits, dropout) in SETS.items():
        rng = np.random.default_rng(seed)
        n = 3 * per_arm
        arm = np.repeat(np.arange(3), per_arm)
        person = rng.normal(np.log(5.5), 0.38, n)
        base = person + rng.normal(0, 0.145, n)
        growth = np.linspace(0.5, 1.0, visits)
        effect = np.array([0.45, 0.1, 0.6])[arm]
        own = rng.normal(0, 0.25, n)
        y = (
            person[:, None]
            + growth * (effect + own)[:, None]
            + rng.normal(0, 0.145, (n, visits)) * np.linspace(1, 1.6, visits)
        )
        gone = rng.random((n, visits)) < missing
        if dropout:
            gone = np.cumsum(rng.random((n, visits)) < missing / 1.5, axis=1) > 0
        with Path(f"mmrm_{name}.csv").open("w", newline="") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(("subject", "arm", "visit", "lbase", "ly"))
            for i in range(n):
                for v in range(visits):
                    if not gone[i, v]:
                        row = (f"S{i:02d}", "ABC"[arm[i]], v + 1, f"{base[i]:.6f}", f"{y[i, v]:.6f}")
                        writer.writerow(row)


if __name__ == "__main__":
    main()
