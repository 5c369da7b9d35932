"""How records are served: plain values in, arrays out, and predictions back."""
