"""What enters the project: videos and reviews, tracked by DVC."""
