"""The command line: `edged COMMAND`; each is a module of `edge.commands`, imported only when asked for.

Exit codes: 0 done, 1 a bug or a failed check, 2 bad input or config, 3 a model that must not run.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from edge import __version__
from edge.ports import AdapterError, ConfigError, ModelError

COMMANDS = {
    "run": "the daemon: cameras in, events out, until it is told to stop",
    "count": "count the people in a recording, with the same pipeline as the daemon",
    "demo": "show it all on a real recording: daemon, broker, subscriber, and the true counts beside ours",
    "contract": "what may leave the device, to the last field",
    "simulate": "any number of devices without cameras, to try a central system",
    "listen": "a reference subscriber: checks, shows and stores what devices publish",
    "forget": "destroy all keys of face hashes on this device, now (tier visit)",
    "check": "say at once all that is wrong with a config file",
    "walktest": "commission a line by walking over it: counted, or what is wrong",
    "bench": "what each model costs on this device, and how many pictures a second that leaves",
    "doctor": "look at every part of the device: what is wrong, and what to do",
    "status": "what the running daemon says of itself",
    "apply": "put a config into force: check it, and open in the sandbox what it needs",
}

EPILOG = """a first look:
  edged demo                          watch real people become events
  edged check --config my.yaml        is my config right?
  edged count clip.mp4 --config my.yaml
"""

# FFmpeg and OpenCV print their own lines on every hiccup of a stream; ours name camera and remedy.
QUIET = {"OPENCV_LOG_LEVEL": "SILENT", "OPENCV_FFMPEG_LOGLEVEL": "-8", "TF_CPP_MIN_LOG_LEVEL": "3"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the exit code."""
    chosen = _top().parse_args(argv)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    command = importlib.import_module(f"edge.commands.{chosen.command}")
    parser = argparse.ArgumentParser(
        prog=f"edged {chosen.command}",
        description=command.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    try:
        return int(command.run(parser.parse_args(chosen.arguments)))
    except ConfigError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return 2
    except ModelError as error:
        print(f"edged: {error}", file=sys.stderr)
        return 3
    except AdapterError as error:
        print(f"edged: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `edged count … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def _top() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:<9} {what}" for name, what in COMMANDS.items())
    top = argparse.ArgumentParser(
        prog="edged",
        description=f"The camera that counts people and forgets them.\n\ncommands:\n{listed}\n\n"
        "`edged COMMAND --help` says more.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"edged {__version__}")
    top.add_argument("command", metavar="COMMAND", choices=COMMANDS, help="one of the commands above")
    top.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return top
