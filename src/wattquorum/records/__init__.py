"""Records: what the chain did, as tables that anyone can query (SQL and Parquet), and every member's bill."""
