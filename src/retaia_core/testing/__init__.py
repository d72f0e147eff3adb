"""What authors of plugins test with, and what we test with ourselves.

`memory_store`, `memory_files`, `memory_secrets`, `memory_notifier` and `clock` are fakes of the ports, with
state; `conformance` has one suite per port that any implementation runs by subclassing; `strategies` draws
domain values with Hypothesis; `agreement` drives random programs over several stores and compares their
answers.

Only `conformance`, `strategies` and `agreement` need the extra ``retaia[testing]``.
"""
