"""What others would use, one small file each."""
