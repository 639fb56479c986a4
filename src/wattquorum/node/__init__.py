"""Node: what meets the machine. Real files, locks and clocks around a replica that knows none of them."""
