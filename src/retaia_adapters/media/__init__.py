"""Media work by PyAV and Pillow: facts, proxies, thumbnails and waveforms of a source file.

The heavy libraries are imported in the worker that needs them, never by importing the plugin.
"""
