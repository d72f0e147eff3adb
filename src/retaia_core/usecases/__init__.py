"""The use cases: one module per story of the product, speaking to ports and nothing else."""
