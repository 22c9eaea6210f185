"""Several machines: runs on a Ray cluster, data through a DVC remote, records through Dagster's event log."""
