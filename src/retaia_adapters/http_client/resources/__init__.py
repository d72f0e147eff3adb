"""The operations of the document, grouped by what they are about."""
