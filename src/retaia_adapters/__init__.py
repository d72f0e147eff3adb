"""The adapters: everything that touches the world, one folder per outside thing, each a plugin."""
