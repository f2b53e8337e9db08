"""What all servers elsewhere have in common: judged addresses, limited answers."""
