"""Lab: whole runs on real input, and what they show: the shipped data, members, the trading week and its report."""
