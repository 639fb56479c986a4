"""Section 5 of document A, played with the product's own rules over many seeds and told beside what it claims."""
