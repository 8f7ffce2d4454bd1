"""Train what refines masks in videos."""
