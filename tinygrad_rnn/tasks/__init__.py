"""What the networks are used for: tasks, and the training that they share."""
