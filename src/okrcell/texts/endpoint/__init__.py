"""Language-model writer: prompt, HTTP client, response cache and budget."""
