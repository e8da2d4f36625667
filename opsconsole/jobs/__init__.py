"""Jobs: one launched command on many hosts, from the order to the last host's result."""
