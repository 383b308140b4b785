"""What a run goes through on a bad night, on the local cluster, and what it cost: `make chaos`."""
