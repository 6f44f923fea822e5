"""Self-contained HTML reports: pictures, style and pages."""
