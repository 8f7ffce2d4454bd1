"""The parts of a conversation that the grammar planner follows: what was said, answered and asked back."""
