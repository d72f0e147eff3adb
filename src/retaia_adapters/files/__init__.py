"""Originals and derived files on a mounted folder.

Originals are only read, but for moves that a person ordered; those never replace a file.
"""
