"""CDISC's rules engine over exported data sets, with CDISC's own rules.

    python benchmarks/cdisc_conformance.py cdisc --rules cdisc-open-rules/Published
    python benchmarks/cdisc_conformance.py cdisc --rules drafts --standard adamig --version 1.3

SDTMIG's rules are run over CP and SUPPCP, ADaMIG's over ADTREG. The engine is `cdisc-rules-engine` (0.17 and later;
Python 3.12), in an environment of its own: its dependencies are not this package's. The rules are a folder of
`ID/rule.yml`, as CDISC publishes them in its repository of open rules; no rule comes with the engine or with this
package. Rules that look into data sets or metadata that are not there (DM, TV, the CDISC Library) end as "not run" with
the engine's reason. Exits with 1 where a rule finds something.
"""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from pathlib import Path
from typing import Any

DATA_SETS = {"sdtmig": ("cp", "suppcp"), "adamig": ("adtreg",)}


def outcome(rule: dict[str, Any], results: dict[str, list[dict[str, Any]]]) -> tuple[str, str]:
    """What a rule came to over all data sets: issues, clean, or not run, and a line of detail."""
    issues, reasons, ran = [], [], False
    for dataset, found in results.items():
        for one in found:
            status = str(one.get("executionStatus", ""))
            if status in {"success", "issue reported"}:
                ran = True
                issues += [f"{dataset} {error.get('row', '')} {error.get('value', '')}" for error in one["errors"]]
            else:
                told = [str(error.get("message") or error.get("error") or "") for error in one.get("errors") or ()]
                reasons.append(f"{dataset}: {' '.join(told) or one.get('message') or status}")
    if issues:
        return "issues", f"{len(issues)}: {rule['description']}: {'; '.join(issues[:3])}"
    return ("clean", "") if ran else ("not run", "; ".join(dict.fromkeys(reasons))[:160])


def main() -> int:
    """Run every rule and print what each came to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds cp.xpt, suppcp.xpt, adtreg.xpt")
    parser.add_argument("--rules", type=Path, required=True, help="folder of ID/rule.yml")
    parser.add_argument("--standard", default="sdtmig", choices=sorted(DATA_SETS))
    parser.add_argument("--version", default="3.4")
    options = parser.parse_args()

    logging.disable(logging.CRITICAL)
    import yaml
    from cdisc_rules_engine.config import config
    from cdisc_rules_engine.models.library_metadata_container import LibraryMetadataContainer
    from cdisc_rules_engine.models.rule import Rule
    from cdisc_rules_engine.rules_engine import RulesEngine
    from cdisc_rules_engine.services import logger
    from cdisc_rules_engine.services.cache.in_memory_cache_service import InMemoryCacheService

    logger.disabled = True
    names = DATA_SETS[options.standard]
    paths = [str(path) for name in names if (path := options.folder / f"{name}.xpt").is_file()]
    engine = RulesEngine(
        cache=InMemoryCacheService(), config_obj=config, standard=options.standard,
        standard_version=options.version.replace(".", "-"), library_metadata=LibraryMetadataContainer(),
        dataset_paths=paths, max_dataset_size=max(Path(path).stat().st_size for path in paths),
    )  # fmt: skip
    tally: Counter[str] = Counter()
    for path in sorted(options.rules.glob("*/rule.yml")):
        metadata = yaml.safe_load(path.read_text("utf-8"))
        rule = Rule.from_cdisc_metadata(metadata)
        state, detail = outcome(rule, engine.validate_single_rule(rule))
        tally[state] += 1
        print(f"{rule['core_id']:20} {state:8} {detail}")
    print(", ".join(f"{n} {state}" for state, n in sorted(tally.items())), f"of {sum(tally.values())} rules")
    return 1 if tally["issues"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
