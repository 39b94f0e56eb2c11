"""A Dask cluster of SLURM jobs for `treg-gating run --scheduler`; needs dask-jobqueue. Ends with Ctrl-C or scancel."""

from __future__ import annotations

import time

from dask_jobqueue import SLURMCluster

if __name__ == "__main__":
    cluster = SLURMCluster(
        queue="normal",
        cores=8,  # of one job; each thread works on one tube at a time, in a process of its own
        processes=1,
        memory="32GB",  # of one job: 2 to 4 GB a thread for tubes of a million events
        walltime="04:00:00",
        protocol="tls",
        shared_temp_directory="/shared/scratch",  # certificates for this cluster are made and laid here
        scheduler_options={"dashboard": False},
        worker_extra_args=["--no-dashboard"],
        job_script_prologue=["source /shared/treg-gating/bin/activate"],
    )
    cluster.scale(jobs=4)
    print(cluster.scheduler_address, flush=True)
    while True:
        time.sleep(60)
