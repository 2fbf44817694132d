"""Executing the user's functions, unit by unit: the same code for workers, referees and replays."""
