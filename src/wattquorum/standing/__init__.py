"""Standing: what a member's conduct earns it; pure rules on plain values, without state or accounts."""
