"""Doubtful masks of an answer: left out or asked about, after the planner has answered."""
