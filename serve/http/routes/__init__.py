"""The routes: what each takes, what it asks of the services, and what it answers."""
