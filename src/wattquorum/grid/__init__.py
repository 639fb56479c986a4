"""Grid: what the wires allow; power flow and curtailment over plain values, in floats and beside the ledger."""
