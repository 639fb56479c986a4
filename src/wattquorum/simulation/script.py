"""Scripts: scenarios that read as prose and are played in a world that moves in steps.

A script is a text of sentences, one in a line; `#` begins a remark, and the first sentence names the members. Most
sentences make something happen; those that begin with `then` say what is so, and a script stops at the first that is
wrong, with its line, what was expected and what was found. A sentence is a template here and the function below it:
what stands in braces is read and handed over, and what a function returns is found where the template has `{expected}`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.consensus.engine import Durable
from wattquorum.consensus.raft.engine import Raft, Role
from wattquorum.consensus.raft.entries import Entry, Kind, configuration_of
from wattquorum.consensus.raft.log import Log
from wattquorum.consensus.raft.records import Appended, Ballot
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.codec import encode
from wattquorum.foundation.quantities import MILLION, Millis, Points
from wattquorum.foundation.refusals import Refused
from wattquorum.simulation.direct import DirectRaft
from wattquorum.simulation.literal import LiteralRaft
from wattquorum.simulation.steps import Link, World, address_of, name_of
from wattquorum.standing.participation import valid_replies
from wattquorum.standing.power import project, tolerance_default

IN_VAIN: Final = "in vain "
COUNTS: Final = ("one", "two", "three", "four", "five", "six", "seven")
PLACEHOLDERS: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "name": ("[a-z]", str),
    "names": ("[a-z](?: [a-z])*", str.split),
    "number": (r"\d+", int),
    "numbers": (r"\d+(?: \d+)*", lambda text: [int(word) for word in text.split()]),
    "powers": (r"[a-z] \d+(?: [a-z] \d+)*", lambda text: _voters(text.split())),
    "text": ('[^"]+', str.encode),
    "expected": (".+", str),
}


class Unfulfilled(AssertionError):
    """A sentence that is not so, not possible or not understood."""

    def __init__(self, line: int, sentence: str, expected: str, found: str) -> None:
        super().__init__(f"line {line}: {sentence}\n  expected: {expected}\n  found:    {found}")
        self.line, self.sentence, self.expected, self.found = line, sentence, expected, found


Told = Callable[..., "str | None"]
_sentences: list[tuple[re.Pattern[str], list[Callable[[str], Any]], bool, Told]] = []


def _sentence(template: str) -> Callable[[Told], Told]:
    """Makes the function below it what a sentence of this form means."""
    kinds = re.findall(r"{(\w+)}", template)
    pattern = re.sub(r"{(\w+)}", lambda found: f"({PLACEHOLDERS[found[1]][0]})", template)

    def register(told: Told) -> Told:
        readers = [PLACEHOLDERS[kind][1] for kind in kinds]
        _sentences.append((re.compile(pattern), readers, "expected" in kinds, told))
        return told

    return register


def play(script: str) -> World:
    """Plays a script from its first line to its last, in a world of its own; Unfulfilled where it does not hold."""
    scene = Scene()
    for line, text in enumerate(script.splitlines(), 1):
        sentence = text.partition("#")[0].strip()
        if sentence:
            _play(scene, line, sentence)
    return scene.world


def _play(scene: Scene, line: int, sentence: str) -> None:
    plain = sentence.removeprefix(IN_VAIN)
    for pattern, readers, expects, told in _sentences:
        found = pattern.fullmatch(plain)
        if found is None:
            continue
        arguments = [reader(group) for reader, group in zip(readers, found.groups(), strict=True)]
        expected = arguments.pop() if expects else "it happens"
        try:
            answer = told(scene, *arguments)
        except Refused as refused:
            answer = f"refused: {refused}"
            if plain != sentence:
                return
        except (AssertionError, ValueError, KeyError) as broken:
            answer = f"{type(broken).__name__}: {broken}"
        if plain != sentence:
            raise Unfulfilled(line, sentence, "a refusal", answer or "it happens")
        if answer is not None and answer != expected:
            raise Unfulfilled(line, sentence, expected, answer)
        return
    raise Unfulfilled(line, sentence, "a sentence that is known", "none of this form")


class Scene:
    """What a script is played with: the world, once the members are named, and how many configurations there were."""

    __slots__ = ("_world", "next", "settings", "version")

    def __init__(self) -> None:
        self._world: World | None = None
        self.settings = Settings()
        self.version = 0
        self.next: Configuration | None = None  # what somebody computed last

    @property
    def world(self) -> World:
        """The world; there is none before its members are named."""
        if self._world is None:
            raise ValueError("the members are not named yet")
        return self._world

    def found(self, voters: Iterable[Voter], engine_of: type[Raft] = Raft) -> None:
        """Begins the world with these members."""
        self._world = World(Configuration(0, None, tuple(voters), (), 0, b""), self.settings, engine_of)
        for voter in voters:
            self._world.start(name_of(voter.replica))


def _voters(words: Sequence[str]) -> tuple[Voter, ...]:
    pairs = zip(words[::2], words[1::2], strict=True)
    return tuple(Voter(address_of(name), int(power)) for name, power in pairs)


def _names(names: Iterable[str]) -> str:
    return " ".join(names) or "nobody"


def _powers(voters: Iterable[Voter]) -> str:
    return " ".join(f"{name_of(voter.replica)} {voter.power}" for voter in voters)


# The members --------------------------------------------------------------------------------------------------------


@_sentence("followers that are behind get a snapshot")
def _no_tail(scene: Scene) -> None:
    scene.settings = Settings(trailing_max=0, chunk_bytes=4)


@_sentence("leases last {number} ms")
def _leases(scene: Scene, milliseconds: int) -> None:
    scene.settings = Settings(lease_ms=milliseconds)


@_sentence("a frame holds one entry")
def _small_frames(scene: Scene) -> None:
    scene.settings = Settings(append_bytes_max=1)


@_sentence("one member {name}")
def _found_one(scene: Scene, name: str) -> None:
    scene.found([Voter(address_of(name), 1)])


@_sentence(f"(?:{'|'.join(COUNTS)}) members {{names}} with equal powers")
def _found_equal(scene: Scene, names: list[str]) -> None:
    scene.found([Voter(address_of(name), 1) for name in names])


@_sentence(f"(?:{'|'.join(COUNTS)}) members {{names}} with powers {{numbers}}")
def _found(scene: Scene, names: list[str], powers: list[int]) -> None:
    scene.found([Voter(address_of(name), power) for name, power in zip(names, powers, strict=True)])


@_sentence(f"(?:{'|'.join(COUNTS)}) members {{names}} with weights {{numbers}}")
def _found_by_weight(scene: Scene, names: list[str], weights: list[int]) -> None:
    points = [Points(weight * MILLION) for weight in weights]
    powers = project(points, [address_of(name) for name in names], tolerance_default(len(names)))
    _found(scene, names, [int(power) for power in powers])


@_sentence(f"(?:{'|'.join(COUNTS)}) members {{names}} by the literal rules with weights {{numbers}}")
def _found_literally(scene: Scene, names: list[str], weights: list[int]) -> None:
    voters = [Voter(address_of(name), weight) for name, weight in zip(names, weights, strict=True)]
    scene.found(voters, LiteralRaft)


@_sentence(f"(?:{'|'.join(COUNTS)}) members {{names}} with powers {{numbers}} that change directly")
def _found_direct(scene: Scene, names: list[str], powers: list[int]) -> None:
    scene.found([Voter(address_of(name), power) for name, power in zip(names, powers, strict=True)], DirectRaft)


@_sentence("the weights that {names} knows? are {powers}")
def _weigh(scene: Scene, names: list[str], voters: tuple[Voter, ...]) -> None:
    for name in names:
        engine = scene.world.engine(name)
        if not isinstance(engine, LiteralRaft):
            raise ValueError("weights at hand are the literal rules'")
        engine.weigh(voters)


@_sentence("then what breaks is: {expected}")
def _breaks(scene: Scene) -> str:
    return "; ".join(scene.world.broken) or "nothing"


@_sentence("the log of {name} begins with the terms {numbers}")
def _begin_with(scene: Scene, name: str, terms: list[int]) -> None:
    scene.world.crash(name)
    entries = tuple(Entry(term, Kind.PAYLOAD, b"%d.%d" % (index, term)) for index, term in enumerate(terms, 1))
    records = Ballot(terms[-1], b""), Appended(1, entries)
    scene.world.replicas[name].disk = [Durable(at, encode(record)) for at, record in enumerate(records, 1)]
    scene.world.start(name)


# Elections ----------------------------------------------------------------------------------------------------------


@_sentence("{name} campaigns")
def _campaign(scene: Scene, name: str) -> None:
    scene.world.campaign(name)


@_sentence("{name} is elected")
def _elect(scene: Scene, name: str) -> str | None:
    return _elect_by(scene, name, [each for each in scene.world.replicas if each != name])


@_sentence("{name} is elected by {names}")
def _elect_by(scene: Scene, name: str, voters: list[str]) -> str | None:
    world = scene.world
    links = [link for voter in voters for link in ((name, voter), (voter, name))]
    world.campaign(name)
    while world.engine(name).role is not Role.LEADER:
        if not world.deliver(links):
            return f"{name} is a {world.engine(name).role.value} of term {world.engine(name).term}"
    return None


@_sentence("{name} hands over to {name}")
def _hand_over(scene: Scene, name: str, to: str) -> None:
    world = scene.world
    world.tell(name, lambda engine: engine.transfer(address_of(to), Millis(world.now)))


# What is asked of replicas ------------------------------------------------------------------------------------------


@_sentence('{name} proposes "{text}"')
def _propose(scene: Scene, name: str, payload: bytes) -> None:
    world = scene.world
    world.tell(name, lambda engine: engine.propose([payload], Millis(world.now)))


@_sentence("{name} asks read {number}")
def _read(scene: Scene, name: str, read: int) -> None:
    world = scene.world
    world.tell(name, lambda engine: engine.read(read, Millis(world.now)))


@_sentence("{name} takes a snapshot")
def _snapshot(scene: Scene, name: str) -> None:
    scene.world.snapshot(name)


@_sentence("the next configuration is {powers}")
def _configure(scene: Scene, voters: tuple[Voter, ...]) -> None:
    _configure_with(scene, voters, [])


@_sentence("the next configuration is {powers} with learners {names}")
def _configure_with(scene: Scene, voters: tuple[Voter, ...], learners: list[str]) -> None:
    configuration = _next(scene, voters, learners)
    for name in sorted(scene.world.replicas):
        scene.world.compute(name, configuration)


@_sentence("{name} alone knows that the next configuration is {powers}")
def _configure_at(scene: Scene, name: str, voters: tuple[Voter, ...]) -> None:
    scene.next = _next(scene, voters, [])
    scene.world.compute(name, scene.next)


@_sentence("{names} knows? it too")
def _configure_too(scene: Scene, names: list[str]) -> None:
    if scene.next is None:
        raise ValueError("nobody alone knows a configuration")
    for name in names:
        scene.world.compute(name, scene.next)


def _next(scene: Scene, voters: tuple[Voter, ...], learners: Sequence[str]) -> Configuration:
    """The next version; who is new in it starts."""
    scene.version += 1
    basis = scene.version.to_bytes(32, "big")
    for name in [*(name_of(voter.replica) for voter in voters), *learners]:
        if name not in scene.world.replicas:
            scene.world.start(name)
    return Configuration(
        scene.version, None, voters, tuple(address_of(name) for name in learners), scene.version, basis
    )


@_sentence("but {name} computes {powers}")
def _compute(scene: Scene, name: str, voters: tuple[Voter, ...]) -> None:
    basis = scene.version.to_bytes(32, "big")
    scene.world.compute(name, Configuration(scene.version, None, voters, (), scene.version, basis))


# Links, disks, crashes, time ----------------------------------------------------------------------------------------


@_sentence("everything is delivered")
def _deliver_all(scene: Scene) -> None:
    scene.world.beat()


@_sentence("everything is delivered but from {name} to {names}")
def _deliver_but(scene: Scene, sender: str, receivers: list[str]) -> None:
    scene.world.beat([(sender, receiver) for receiver in receivers])


@_sentence("everything is delivered but to {names}")
def _deliver_but_to(scene: Scene, receivers: list[str]) -> None:
    scene.world.beat([(sender, receiver) for sender in scene.world.replicas for receiver in receivers])


@_sentence("what {name} said to {names} is delivered")
def _deliver(scene: Scene, sender: str, receivers: list[str]) -> None:
    world = scene.world
    waiting: list[Link] = [(sender, each) for each in receivers for _ in world.links.get((sender, each), ())]
    for link in waiting:
        world.deliver([link])


@_sentence("what is under way is lost")
def _lose_all(scene: Scene) -> None:
    scene.world.links.clear()


@_sentence("{names} (?:is|are) cut off")
def _cut_off(scene: Scene, names: list[str]) -> None:
    others = [name for name in scene.world.replicas if name not in names]
    for name in names:
        _cut_from(scene, name, others)


@_sentence("{name} and {names} do not reach each other")
def _cut_from(scene: Scene, name: str, others: list[str]) -> None:
    for other in others:
        scene.world.cuts |= {(name, other), (other, name)}
        scene.world.lose([(name, other), (other, name)])


@_sentence("{name} does not reach {names}")
def _cut_one_way(scene: Scene, name: str, others: list[str]) -> None:
    scene.world.cuts |= {(name, other) for other in others}
    scene.world.lose([(name, other) for other in others])


@_sentence("everybody reaches everybody")
def _heal(scene: Scene) -> None:
    scene.world.cuts.clear()


@_sentence("{names} crash(?:es)?")
def _crash(scene: Scene, names: list[str]) -> None:
    for name in names:
        scene.world.engine(name)
        scene.world.crash(name)


@_sentence("{names} restarts?")
def _restart(scene: Scene, names: list[str]) -> None:
    for name in names:
        if scene.world.replicas[name].engine is not None:
            raise ValueError(f"{name} is up")
        scene.world.start(name)


@_sentence("the disk of {name} stalls")
def _stall(scene: Scene, name: str) -> None:
    scene.world.stall(name, stalled=True)


@_sentence("the disk of {name} goes on")
def _go_on(scene: Scene, name: str) -> None:
    scene.world.stall(name, stalled=False)


@_sentence("{number} ms pass")
def _run(scene: Scene, milliseconds: int) -> None:
    scene.world.run(milliseconds)


@_sentence("{number} ms pass in silence for {names}")
def _run_only(scene: Scene, milliseconds: int, names: list[str]) -> None:
    scene.world.run(milliseconds, names, silent=True)


# What is so ---------------------------------------------------------------------------------------------------------


@_sentence("then {name} leads term {expected}")
def _leads(scene: Scene, name: str) -> str:
    engine = scene.world.engine(name)
    return str(engine.term) if engine.role is Role.LEADER else f"it is a {engine.role.value} of term {engine.term}"


@_sentence("then {expected} leads?")
def _leaders(scene: Scene) -> str:
    return _names(scene.world.leaders())


@_sentence("then {name} is in term {expected}")
def _term(scene: Scene, name: str) -> str:
    return str(scene.world.engine(name).term)


@_sentence("then {name} follows {expected}")
def _follows(scene: Scene, name: str) -> str:
    engine = scene.world.engine(name)
    return _names([name_of(engine.leader)] if engine.leader else [])


@_sentence("then {name} is a {expected}")
def _role(scene: Scene, name: str) -> str:
    return scene.world.engine(name).role.value


@_sentence('then "{text}" is committed {expected}')
def _committed(scene: Scene, payload: bytes) -> str:
    where = [replica.name for replica in scene.world.up() if payload in replica.applied]
    return f"at {_names(where)}" if where else "nowhere"


@_sentence("then {name} has applied {expected}")
def _applied(scene: Scene, name: str) -> str:
    return " ".join(f'"{payload.decode()}"' for payload in scene.world.replicas[name].applied) or "nothing"


@_sentence('then {name} says that "{text}" was decided by {expected}')
def _evidence(scene: Scene, name: str, payload: bytes) -> str:
    told = scene.world.replicas[name].committed.get(payload)
    return "nobody since it is not committed" if told is None else _names(map(name_of, told.evidence))


@_sentence("then a round of {name} with {names} counts for {expected}")
def _counts(scene: Scene, leader: str, followers: list[str]) -> str:
    configuration = scene.world.engine(leader).configuration
    return _names(map(name_of, valid_replies(configuration, address_of(leader), list(map(address_of, followers)))))


@_sentence("then the log of {name} is {expected}")
def _log(scene: Scene, name: str) -> str:
    log = scene.world.engine(name).log
    return ", ".join(f"{entry.term} {_content(entry)}" for entry in log.entries(log.first)) or "empty"


def _content(entry: Entry) -> str:
    if entry.kind is Kind.CONFIGURATION:
        configuration = configuration_of(entry)
        return "new" if configuration.old is None else "joint"
    return f'"{entry.payload.decode()}"' if entry.kind is Kind.PAYLOAD else "nothing"


@_sentence("then the terms in the log of {name} are {expected}")
def _terms(scene: Scene, name: str) -> str:
    log: Log = scene.world.engine(name).log
    return " ".join(str(entry.term) for entry in log.entries(log.first)) or "none"


@_sentence("then the configuration at {name} is {expected}")
def _configuration(scene: Scene, name: str) -> str:
    configuration = scene.world.engine(name).configuration
    if configuration.old is None:
        return _powers(configuration.new)
    return f"joint, from {_powers(configuration.old)} to {_powers(configuration.new)}"


@_sentence("then the learners at {name} are {expected}")
def _learners(scene: Scene, name: str) -> str:
    return _names(map(name_of, scene.world.engine(name).configuration.learners))


@_sentence("then read {number} at {name} {expected}")
def _answered(scene: Scene, read: int, name: str) -> str:
    return "is answered" if read in scene.world.replicas[name].reads else "waits"


@_sentence("then {name} has halted since {expected}")
def _halted(scene: Scene, name: str) -> str:
    refused = scene.world.halted(name)
    return "nothing is wrong" if refused is None else refused.code
