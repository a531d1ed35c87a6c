"""The command line: `edged <command>`; each command lives in its own module of `edge.commands`."""


def main() -> int:
    return 0
