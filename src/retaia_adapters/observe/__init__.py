"""What a running program tells whoever watches over it: logs, numbers and traces."""
