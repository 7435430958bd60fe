# SPDX-License-Identifier: BSD-3-Clause
"""Scripts that write files where a disk, a limit or a signal stops them, in own processes."""

import json
import subprocess
import sys

_BEGINNING = """
import errno, json, os, random, resource, signal, sys, time

argument = sys.argv[1]

def read(path="model"):
    with open(path, "rb") as file:
        return file.read()

def refusal(call, *arguments):  # None if there is none
    try:
        call(*arguments)
    except OSError as error:
        return [type(error).__name__, error.errno, error.filename, str(error)]

def fill_disk(path):
    with open(path, "xb") as file:
        try:
            while True:
                os.write(file.fileno(), bytes(512))
        except OSError as error:
            assert error.errno == errno.ENOSPC

def let_read_only(folder):  # a disk
    os.chdir("/")
    assert os.system(f"mount -o remount,ro none {folder}") == 0
    os.chdir(folder)

DEADLY = signal.SIGKILL, signal.SIGTERM, signal.SIGHUP
for number in DEADLY[1:]:  # which whoever runs the tests may ignore
    signal.signal(number, signal.SIG_DFL)

def start(function, *arguments):  # in a forked process
    process = os.fork()
    if process == 0:
        try:
            function(*arguments)
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
    return process

def are_alive(processes):  # forgets those that have ended well
    process, status = os.waitpid(-1, os.WNOHANG)
    if process:
        assert status == 0
        processes.remove(process)
    return bool(processes)

def repeat_and_die(function, most_seconds):  # in a forked process, at any moment
    def repeat():
        while True:
            function()

    process, number = start(repeat), random.choice(DEADLY)
    time.sleep(random.uniform(0, most_seconds))
    os.kill(process, number)
    assert os.waitpid(process, 0)[1] == number

def seconds_of(function):
    begin = time.monotonic()
    for _ in range(5):
        function()
    return (time.monotonic() - begin) / 5
"""


def run_script(script, folder, argument="", command=()):
    """Run a script in a folder, by a command that runs its arguments; return the ended process."""
    lines = [_BEGINNING, *(line.removeprefix(" " * 8) for line in script.splitlines())]
    return subprocess.run(
        [*command, sys.executable, "-c", "\n".join(lines), str(argument)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )


def printed_by(script, folder, argument="", command=()):
    """Run a script that ends well, and return what it prints as JSON."""
    ended = run_script(script, folder, argument, command)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def command_with_own_disk(folder):
    """Return a command that runs its arguments where the folder is a small disk, or None."""
    mount = 'mount -t tmpfs -o size=64k none "$0" && cd "$0" && exec "$@"'
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, str(folder)]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return command
