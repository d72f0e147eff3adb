"""The domain: values, tables and pure functions. No I/O, no clock, no randomness."""
