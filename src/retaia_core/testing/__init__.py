"""What authors of plugins test with, and what we test with ourselves.

`memory_store`, `memory_files` and `clock` are stateful fakes of the ports; `conformance` has one suite per
port that any implementation runs by subclassing; `strategies` draws domain values with Hypothesis;
`agreement` drives random programs over several stores and compares their answers.

Only `conformance`, `strategies` and `agreement` need the extra ``retaia[testing]``.
"""
