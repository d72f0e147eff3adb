"""The command line (cyclopts, rich): a plugin like the others."""
