"""People, their sessions, one-time links and API tokens."""
