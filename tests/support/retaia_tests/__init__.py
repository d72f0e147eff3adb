"""What the tests share: outside components, a PostgreSQL server of their own."""
