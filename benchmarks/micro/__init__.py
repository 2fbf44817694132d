"""The small pieces: encoding, sealing, proving and descending, beside other ways to hash."""
