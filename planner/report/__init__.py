"""Text, JSON and YAML for people and programs. The only place that formats."""
