"""Where the paper did not go: safe rules, other links, attacks and long runs, as experiments that anybody can sweep."""
