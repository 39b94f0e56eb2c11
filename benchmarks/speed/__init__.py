"""Parts of benchmarks/throughput.py: tubes, pipelines, modes, tables, plots."""
