"""Byzantine agreement: PBFT among a committee, one block per height; when everybody is in it, it is plain PBFT."""
