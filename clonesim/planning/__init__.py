"""Questions about a pool: how many clones a LUN holds, how many hosts it takes, what to buy."""
