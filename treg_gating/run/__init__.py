"""Running a cohort: engine and outputs."""
