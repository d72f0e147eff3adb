"""The demonstration: a small storage that is made on the spot, and the whole life of its assets."""
