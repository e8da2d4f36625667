"""The database: engine, transactions and schema."""
