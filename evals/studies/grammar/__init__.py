"""How well the grammar planner answers: drawn queries, sentences of people, queries about clips, conversations."""
