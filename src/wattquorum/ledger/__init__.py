"""The ledger: roles, accounts, transactions, blocks, execution, proofs and audit. Deterministic: integers only."""
