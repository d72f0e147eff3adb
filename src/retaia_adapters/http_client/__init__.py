"""The agent's side of the HTTP transport."""
