"""The queue of the review: who looks at what now, and what they said."""
