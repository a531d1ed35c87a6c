"""What touches the world. Adapters never import each other; `app` alone knows everyone."""
