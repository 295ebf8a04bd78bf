"""What the field talks about, as plain data. Imports nothing else of meshtrail."""
