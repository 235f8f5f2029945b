"""What only a report needs: scores, intervals, plots, the page."""
