"""A row of counts becomes tokens."""
