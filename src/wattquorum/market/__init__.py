"""Market: what a contract is worth, interval by interval; pure rules on plain values, without state or accounts."""
