"""Parts of the explanation of annotations."""
