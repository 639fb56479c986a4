"""The peers: what our consensus is measured against, on one machine and in one sitting."""
