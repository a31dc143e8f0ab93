"""The run directory: paths, lease, ledger, records, control."""
