"""A run as numbers, tables and pages."""
