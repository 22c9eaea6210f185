"""Previews of stage outputs: numbers, notes and a picture."""
