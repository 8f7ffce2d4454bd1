"""What the data engine's verifiers and its order of review are worth, on generated scenes with known truth."""
