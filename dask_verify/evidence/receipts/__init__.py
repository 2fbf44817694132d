"""Receipts: what they say, how they are written, and whether they hold."""
