"""What stands between a backbone and its heads: one file for each kind of neck."""
