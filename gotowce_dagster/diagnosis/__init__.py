"""What can run on this machine, and why anything else cannot."""
