"""What is computed of networks that are stored: observables that need all of them, or are added."""
