"""The review interface: where a person looks and decides, on the API only and without a build step."""
