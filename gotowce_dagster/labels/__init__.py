"""Labels: cleaning, reviews, splits and export."""
