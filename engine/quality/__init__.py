"""What may become a label without a person, what a person sees first, and how good the labels are."""
