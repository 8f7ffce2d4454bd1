"""Any server that speaks the OpenAI chat-completions API."""
