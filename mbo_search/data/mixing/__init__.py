"""Text of several sources in chosen shares: whose each block is, who is next, and where each source stands."""
