"""A planner without a language model, built as a compiler: text, tokens, syntax, plan, tool calls."""
