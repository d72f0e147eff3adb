"""The agent's shell: register, poll, claim, run, heartbeat, upload, submit; in worker processes."""
