"""``python -m treg_gating``: the same as the command ``treg-gating``."""

from treg_gating.cli import main

if __name__ == "__main__":
    main()
