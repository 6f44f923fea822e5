"""The main job on bundled cells, with a report to look at."""
