"""Pure: values in, values out. No clock, thread, socket, file, logging or global randomness."""
