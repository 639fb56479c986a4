"""Green: certificates for renewable energy and carbon allowances, as pure rules."""
