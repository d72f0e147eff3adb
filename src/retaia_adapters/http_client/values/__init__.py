"""The values of the wire, by topic; names are the contract's."""
