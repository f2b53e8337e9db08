"""An email taken apart and judged."""
