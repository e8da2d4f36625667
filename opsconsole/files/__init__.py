"""Files that people give for hosts, and where what comes back from hosts lies."""
