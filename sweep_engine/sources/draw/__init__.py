"""`prior` and `guess_and_check`: independent draws from a law, all counted, few kept."""
