"""Exhibits: the smallest proof of one divergence that can be run again."""
