"""The report: measurements, quality and images as Markdown, JSON and one HTML page."""
