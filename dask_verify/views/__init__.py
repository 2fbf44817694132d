"""What people see of a job in notebooks and files: pure rendering, of values that others made."""
