"""The server's shell: settings → plugins → services → transport."""
