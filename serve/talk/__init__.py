"""What takes several steps: URLs fetched safely, repeated requests, episodes, conversations, jobs and webhooks."""
