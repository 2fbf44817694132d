"""Who is enrolled: keys, the trust file, and the commands that make them."""
