"""What everything uses: errors, files, progress, tables, weights, masks as text."""
