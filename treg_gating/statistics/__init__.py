"""The analysis after unblinding: models, sensitivity, multiplicity, tables. Reads the arm list; nothing below does."""
