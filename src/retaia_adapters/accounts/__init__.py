"""Everything cryptographic about signing in, by libraries that do nothing else."""
