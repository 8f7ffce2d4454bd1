"""How likely masks are right: fitted on held-out generated scenes, and measured on others."""
