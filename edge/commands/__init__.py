"""One module a command of `edged`; `cli` imports the one it needs, so `run` never meets the others."""
