"""Reading `flow.cylc`: what it means, and what is refused at which line."""

import json

import pytest

from triplane.engines.graph.definition.build import build_definition
from triplane.engines.graph.definition.calendar import Interval
from triplane.engines.graph.definition.model import Condition
from triplane.engines.graph.definition.plain import from_plain, to_plain
from triplane.engines.graph.definition.problems import DefinitionProblem
from unit.graph.simulated import HEAD, cycling, once

WHOLE = '''
[meta]
    title = "Two # seasons"   # a comment
    description = """
        Over
        two lines.
    """
[scheduling]
    cycling mode = integer
    initial cycle point = 2
    final cycle point = +P4
    runahead limit = P2
    [[graph]]
        R1 = prepare => model
        P2 = """
            # the core of it
            model =>
                post & \\
                plot
            model[-P2] => model   # the cycle before
            prepare[^] => post
        """
[runtime]
    [[root]]
        script = sleep 1
        [[[environment]]]
            LEVEL = low
            PLACE = ~/here
    [[MODELS, PLOTS]]
        pre-script = echo family
    [[prepare]]
    [[model]]
        inherit = MODELS, PLOTS
        [[[environment]]]
            LEVEL = "high # not a comment"
        [[[meta]]]
            title = The model
    [[post, plot]]
        script = """
            if true; then
                echo done
            fi
        """
    [[MODELS]]
        post-script = echo again
'''


def test_a_whole_definition_comes_to_what_it_says():
    definition = build_definition(WHOLE)
    assert (definition.title, definition.description) == ("Two # seasons", "Over\ntwo lines.")
    assert (definition.initial, definition.final, definition.runahead) == (2, 6, 2)
    assert list(definition.tasks) == ["prepare", "model", "post", "plot"]
    model = definition.tasks["model"]
    assert model.families == ("MODELS", "PLOTS", "root") and model.title == "The model"
    assert model.scripts == {"script": "sleep 1", "pre-script": "echo family", "post-script": "echo again"}
    assert model.environment == {"LEVEL": "high # not a comment", "PLACE": "~/here"}
    assert definition.tasks["plot"].scripts["script"] == "if true; then\n    echo done\nfi"
    assert [one.conditions for one in model.prerequisites] == [
        (Condition("prepare", "succeeded"),),
        (Condition("model", "succeeded", offset=Interval(units=-2)),),
    ]
    assert definition.tasks["post"].prerequisites[0].conditions == (
        Condition("model", "succeeded"),
        Condition("prepare", "succeeded", point=2),
    )
    assert definition.families["MODELS"].parents == ("root",)


def test_a_definition_survives_the_trip_through_json():
    definition = build_definition(WHOLE)
    assert from_plain(json.loads(json.dumps(to_plain(definition)))) == definition


def test_a_graph_that_runs_once_needs_no_calendar():
    definition = build_definition("[scheduler]\nallow implicit tasks = True\n[scheduling]\n[[graph]]\nR1 = a => b")
    assert (definition.initial, definition.final) == (1, 1)


def test_a_repeated_recurrence_adds_to_the_graph_and_a_repeated_setting_replaces():
    definition = build_definition(once("a => b") + "\n        R1 = b => c\n[scheduling]\n    runahead limit = P7\n")
    assert list(definition.tasks) == ["a", "b", "c"] and definition.runahead == 7


@pytest.mark.parametrize(
    ("recurrence", "points"),
    [
        ("R1", [1]),
        ("R1/$", [9]),
        ("R1/+P2", [3]),
        ("R1/^", [1]),
        ("R1/5", [5]),
        ("P4", [1, 5, 9]),
        ("^/P3", [1, 4, 7]),
        ("-1/P4", [3, 7]),
        ("R3//P2", [1, 3, 5]),
        ("+P1/P3", [2, 5, 8]),
        ("4/P2", [4, 6, 8]),
        ("R3/2/P1", [2, 3, 4]),
        ("R/7/P1", [7, 8, 9]),
        ("R2/-3/P2", []),
        ("R3/P2", [5, 7, 9]),
        ("R3/P2/$-P1", [4, 6, 8]),
        ("P3/$", [3, 6, 9]),
        ("R1//+P0", [9]),
        ("R3/1/9", [1, 5, 9]),
        ("P2!5", [1, 3, 7, 9]),
        ("P1!(P2, 4)", [2, 6, 8]),
        ("R1/min(3, 2)", [2]),
        ("R1/2, R1/4", [2]),
    ],
)
def test_recurrences_give_their_points(recurrence: str, points: list[int]):
    definition = build_definition(cycling("a", final=9, recurrence=recurrence))
    sequence = definition.sequences[0]
    assert list(sequence.from_point(definition.initial)) == points
    assert [point for point in range(-9, 12) if point in sequence] == points


@pytest.mark.parametrize(
    ("graph", "named"),
    [
        ("a => b | c", "`|` on the right"),
        ("(a & b => c", "never closed"),
        ("a) => b", "not open"),
        ("() => b", "nothing before a closing"),
        ("(" * 60 + "a" + ")" * 60 + " => b", "nested more than 50 deep"),
        ("!a => b", "suicide trigger on the left"),
        ("a => b\na => !b", "triggers both b and !b"),
        ("a & c => b\nc => !b", "triggers both b and !b"),
        ("a<i> => b", "parameter 'i' .* is not defined"),
        ("@clock => a", "does not define it"),
        ("@wall_clock => a", "needs dates"),
        ("a => @clock", "xtrigger on the right"),
        ("a:finish? => b", "cannot be optional"),
        ("a:expire => b", "must be optional"),
        ("a:succeed-all => b", "is for families"),
        ("a<other::b> => c", "polling another workflow"),
        ("a => b[-P1]", "offset on the right"),
        ("a => => b", "missing beside an operator"),
        ("& a => b", "nothing before the operator"),
        ("a =>\n=> b", "end of one line"),
        ("a => b &", "ends with an operator"),
        ("a b => c", "no operator before"),
        ("a.b => c", "bad graph node"),
        ("a[-Q1] => b", "not an integer cycle point"),
        ("a:nonsense => b", "no output"),
        ("a => a", "depends on itself"),
        ("a? => b\na => c", "both required and optional"),
        ("a:fail => b\na => c", "cannot both happen"),
        ("ghost[-P1] => b", "only named with an offset"),
    ],
)
def test_a_graph_that_cannot_be_is_refused_at_its_line(graph: str, named: str):
    source = once(graph)
    with pytest.raises(DefinitionProblem, match=named.replace("`|`", r"`\|`")) as raised:
        build_definition(source)
    assert source.splitlines()[raised.value.line - 1] in graph.splitlines()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[scheduling]\n[[queues]]\n[[[q]]]\nlimit = many", "not a number"),
        ("[scheduling]\n[[xtriggers]]\nx = nothing", "not a call"),
        ("[scheduling]\n[[xtriggers]]\nx = wall_clock()", "needs dates"),
        ("[scheduling]\nstop after cycle point = soon", "not an integer cycle point"),
        ("[scheduling]\n[[special tasks]]\nsequential = a(P1)", "cannot be read"),
        ("[scheduling]\n[[special tasks]]\nclock-expire = a(P1)", "gregorian"),
        ("[runtime]\n[[a]]\nexecution retry delays = 3*P", "not a duration"),
        ("[runtime]\n[[a]]\nexecution retry delays = 20000*PT1S", "does not repeat 1 to 10000 times"),
        ("[runtime]\n[[a]]\nexecution time limit = 10", "not a duration"),
        ("[runtime]\n[[a]]\nrun mode = dummy", "live or skip"),
        ("[runtime]\n[[a]]\nplatform = $(rose host-select)", "computed by the shell"),
        ("[runtime]\n[[a]]\n[[[events]]]\nmail events = failed", r"mail events is not supported"),
        ("[runtime]\n[[a]]\n[[[remote]]]\nhost = x", r"\[runtime\]\[a\]remote is not supported"),
        ("[runtime]\n[[a]]\n[[[job]]]", r"\[runtime\]\[a\]job is not supported"),
        ("[scheduler]\ninstall = x/", r"\[scheduler\]install is not supported"),
        ("[scheduler]\n[[main loop]]", r"\[scheduler\]main loop is not supported"),
        ("[task parameters]\nm = 1..3, x", "mixes ranges and words"),
        ("[task parameters]\nm = 1..99999999", "a range of at most"),
        ("[scheduling]\nrunahead limmit = P1", "no setting .*runahead limmit is known"),
        ("[nonsense]", r"no setting \[nonsense\] is known"),
        ("[runtime]\n[[a]]\ninherit = b", "which is not defined"),
        ("[runtime]\n[[a]]\ninherit = None", "needs a second parent"),
        ("[runtime]\n[[a]]\nplatform = queue:", "worker queue"),
        ("[runtime]\n[[a/b]]", "not a task name"),
        ("[runtime]\n[[..]]", "not a task name"),
        ("[runtime]\n[[a]]\n[[[environment]]]\n1X = 2", "not a name of an environment variable"),
        ("[scheduler]\nUTC mode = perhaps", "neither True nor False"),
        ("[meta", "bracket mismatch|bad section heading"),
        ("[meta]\n[[[deep]]]", "nested 3 deep"),
        ("[[[[[five]]]]]", "nested 5 deep"),
        ("words", "neither a section heading"),
        ('title = """never', "never closed"),
        ("title = 'open", "unclosed quote"),
        ("%include 'x'", "no such file"),
        ("x = 1 \\ ", "white space after a line continuation"),
    ],
)
def test_a_setting_that_is_not_understood_is_refused_at_its_line(line: str, message: str):
    source = once("a") + line
    with pytest.raises(DefinitionProblem, match=message) as raised:
        build_definition(source)
    assert raised.value.line in range(source.count("\n") + 1 - line.count("\n"), source.count("\n") + 2)


@pytest.mark.parametrize(
    ("source", "message", "at"),
    [
        ("#!Jinja2\n[scheduling]\n{{ x }}\n", "'x' is undefined", "{{ x }}"),
        ("#!EmPy\n[scheduling]\n", "EmPy is not supported", "#!EmPy"),
        ("[scheduling]\n    [[graph]]\n        P1D = a\n", "no initial cycle point", "[scheduling]"),
        ("[scheduling]\ncycling mode = lunar\n[[graph]]\nP1D = a\n", "no cycling mode 'lunar'", "lunar"),
        ("[scheduling]\ncycling mode = integer\ninitial cycle point = now\n[[graph]]\nP1 = a\n", "'now' is not an integer", "now"),
        ("[scheduling]\n[[graph]]\n", "nothing to run", "[scheduling]"),
        ("", "nothing to run", None),
        ("[scheduling]\n[[graph]]\nR1 = a\n", "does not define", "R1 = a"),
        ("[scheduling]\n[[graph]]\nR1 = FAM => b\n[runtime]\n[[FAM]]\n[[a]]\ninherit = FAM\n", "needs a family qualifier", "FAM => b"),
        (cycling("a") + "        R1/P = b\n", "needs a final|integer interval", "R1/P"),
        (cycling("a", recurrence="P1!2!3"), "one list of exclusions", "P1!2!3"),
        (cycling("a", recurrence="P1!(2"), "mismatched parentheses", "P1!(2"),
        (cycling("a", recurrence="R2/3"), "no known form", "R2/3"),
        (cycling("a", recurrence="3"), "no known form", "3"),
        (cycling("a", recurrence="P1/P2"), "no known form", "P1/P2"),
        (cycling("a", recurrence="P0"), "does not move forward", "P0"),
        (cycling("a", recurrence="R0/1/P1"), "repeats 0 times", "R0/1/P1"),
        (cycling("a", final=None, recurrence="R1/$"), "needs a final cycle point", "R1/$"),
        (cycling("a", final=0), "is before the initial cycle point", "final cycle point = 0"),
    ],
)
def test_a_definition_that_cannot_run_is_refused(source: str, message: str, at: str | None):
    with pytest.raises(DefinitionProblem, match=message) as raised:
        build_definition(source)
    assert at is None or at in source.splitlines()[raised.value.line - 1]


@pytest.mark.parametrize(
    ("source", "circle"),
    [
        (once("a => b\nb => c\nc => a"), "1/a => 1/b => 1/c => 1/a|1/b => 1/c => 1/a => 1/b|1/c => 1/a => 1/b => 1/c"),
        (cycling("a => b") + "        R1/2 = b => a\n", "2/b => 2/a => 2/b|2/a => 2/b => 2/a"),
        (once("a[^] => b\nb => a"), "1/a|1/b"),
        (cycling("a[+P1] => b\nb[-P1] => a"), "2/a => 1/b => 2/a|1/b => 2/a => 1/b"),
    ],
)
def test_tasks_that_wait_for_each_other_are_refused_over_recurrences_and_cycles(source: str, circle: str):
    with pytest.raises(DefinitionProblem, match=f"circular dependencies: .*({circle})"):
        build_definition(source)


def test_what_looks_like_a_circle_over_cycles_is_none():
    build_definition(cycling("a => b") + "        R1/2 = b[-P1] => a\n")
    build_definition(cycling("a => b\nb[-P1] => a", final=None))


def test_inheritance_is_ordered_as_python_orders_base_classes():
    runtime = "[runtime]\n[[A]]\n[[B]]\ninherit = A\n[[C]]\ninherit = A\n[[x]]\ninherit = B, C\n"
    definition = build_definition(once("x") + runtime)
    assert definition.tasks["x"].families == ("B", "C", "A", "root")
    with pytest.raises(DefinitionProblem, match="cannot be put in one order"):
        build_definition(once("y") + runtime + "[[y]]\ninherit = A, B\n")
    with pytest.raises(DefinitionProblem, match="inherits from itself"):
        build_definition(once("y") + "[runtime]\n[[y]]\ninherit = z\n[[z]]\ninherit = y\n")


def test_custom_outputs_have_messages_and_can_be_waited_for():
    definition = build_definition(once("a:x => b") + "[runtime]\n[[a]]\n[[[outputs]]]\nx = the x is done\n")
    assert definition.tasks["a"].outputs["x"] == "the x is done"
    assert definition.tasks["a"].required == ("succeeded", "x")


@pytest.mark.parametrize(
    "source",
    [
        HEAD + "x" * (5 * 1024 * 1024),
        "\n".join("[" * depth + "s" + "]" * depth for depth in range(1, 300)),
        "[" * 10_000 + "deep" + "]" * 10_000,
        once("(" * 10_000 + "a" + ")" * 10_000 + " => b"),
        once("a<" * 10_000 + ">" * 10_000 + " => b"),
        once("a => b") + "[runtime]\n[[a]]\ncompletion = " + "(" * 900 + "succeeded" + ")" * 900 + "\n",
        cycling("a", recurrence="P1!(" * 10_000),
        "[task parameters]\n" + "".join(f"p{i} = 1..100\n" for i in range(5)) + once("a<p0, p1, p2, p3, p4> => b"),
        once("x0") + "[runtime]\n" + "".join(f"[[x{i}]]\ninherit = x{i + 1}\n" for i in range(10_000)) + "[[x10000]]\n",
        once(" & ".join(f"a{i}" for i in range(1_000)) + " => " + " & ".join(f"b{i}" for i in range(1_000))),
        "\n" * 200_000,
    ],
)
def test_a_huge_or_bottomless_definition_is_refused(source: str):
    with pytest.raises(DefinitionProblem):
        build_definition(source)
