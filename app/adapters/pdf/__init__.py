"""What a PDF shows on paper."""
