"""The folder of a data engine: images, pairs and the log in SQLite, masks in parquet."""
