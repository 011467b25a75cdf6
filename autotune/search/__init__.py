"""Search: from a space of schedules to the best one found."""
