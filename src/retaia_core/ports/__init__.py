"""The ports: what the use cases need of the world, one protocol per file."""
