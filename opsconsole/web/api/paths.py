"""Parts of addresses that several routes share."""

# Ids have 64 bits: a larger number is no job, and no database takes it.
JOB = "/jobs/<int(max=9223372036854775807):job_id>"
HOST = f"{JOB}/hosts/<host>"
