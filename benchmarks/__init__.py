"""What is measured beside what: ``python -m benchmarks`` runs it all, one after the other.

A benchmark is a script of its own that compares contenders in one run and writes its figures as JSON;
`benchmarks.suites` says which there are and at which sizes, `benchmarks.goals` what they must reach.
"""
