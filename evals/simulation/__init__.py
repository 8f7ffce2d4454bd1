"""A simulated language model: it knows the truth and errs as often as a profile says. Its numbers are no model's."""
