"""Tax documents: what a payment owes its payer under India's GST law, issued once and never changed."""
