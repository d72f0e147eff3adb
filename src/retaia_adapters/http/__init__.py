"""The HTTP transport: the contract's document is the source, and the use cases are behind it."""
