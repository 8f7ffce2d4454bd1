"""Starts the installed program: an interruption ends it without a traceback, also while it imports its commands."""

import signal


def start_program() -> None:
    """Run `sam3-agent`, as the installed command does.

    Until the commands are imported nothing is there to keep or to say: Ctrl-C ends the process as the system does it,
    which a shell shows as 130. From then on `agent.cli.main.main` answers it.
    """
    is_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # a shell may have it ignored
    if is_heard:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from agent.cli.main import main

    if is_heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
