"""In and out, one's own account, and users for administrators."""
