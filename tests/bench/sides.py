"""The two sides of a benchmark as processes that answer when asked and stand still while the other one has its turn."""

import json
import os
import signal
import subprocess


def descendants(pid):
    """The process and all processes below it."""
    found = [pid]
    for parent in found:
        try:
            with open(f"/proc/{parent}/task/{parent}/children") as children:
                found += [int(child) for child in children.read().split()]
        except OSError:
            pass
    return found


def is_launcher(pid):
    """mpirun is never stopped: it would say so, and stopping its ranks is enough."""
    with open(f"/proc/{pid}/comm") as name:
        return name.read().strip() in ("mpirun", "orterun")


class Side:
    """Processes of one side; the first of them reads requests and prints one line of JSON for each step."""

    def __init__(self, name, commands, environments):
        self.name = name
        self.processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE if first else subprocess.DEVNULL,
                             stdout=subprocess.PIPE if first else subprocess.DEVNULL, text=True,
                             env=dict(os.environ, OMP_WAIT_POLICY="passive", **environment))
            for first, command, environment in zip([True] + [False] * len(commands), commands, environments)]

    def answer(self):
        while line := self.processes[0].stdout.readline():
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"{self.name} ended with code {self.processes[0].wait()} where an answer was expected")

    def steps(self, count):
        self.processes[0].stdin.write(f"{count}\n")
        self.processes[0].stdin.flush()
        return [self.answer() for _ in range(count)]

    def send(self, number):
        for process in self.processes:
            for pid in descendants(process.pid):
                try:
                    if not is_launcher(pid):
                        os.kill(pid, number)
                except OSError:
                    pass  # it has ended

    def pause(self):
        self.send(signal.SIGSTOP)

    def resume(self):
        self.send(signal.SIGCONT)

    def kill(self):
        """Ends all processes at once, also those that stand still."""
        self.send(signal.SIGKILL)
        for process in self.processes:
            process.kill()
            process.wait()

    def close(self):
        self.resume()
        self.processes[0].stdin.close()
        for process in self.processes:
            process.wait()


def take_turns(sides, rounds, steps):
    """Answers of each side, round by round; the first round warms up and is dropped."""
    answers = {side.name: [] for side in sides}
    try:
        for side in sides:
            side.ready = side.answer()
            side.pause()
        for turn in range(rounds + 1):
            for side in sides if turn % 2 == 0 else reversed(sides):
                side.resume()
                found = side.steps(steps)
                side.pause()
                if turn > 0:
                    answers[side.name] += found
    except Exception:
        for side in sides:
            side.kill()
        raise
    for side in sides:
        side.close()
    return answers


def run_program(command, environment=()):
    """The JSON lines that a program prints."""
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True,
                         env=dict(os.environ, OMP_WAIT_POLICY="passive", **dict(environment))).stdout
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]
