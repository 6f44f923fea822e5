"""Label error detection for a study and for a corpus."""
