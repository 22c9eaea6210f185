"""What each stage made: numbers, notes and a picture."""
