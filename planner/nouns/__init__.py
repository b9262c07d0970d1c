"""What everything else speaks of: frozen values and the words for them."""
