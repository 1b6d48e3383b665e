#!/usr/bin/env python3
"""What the model that knows nothing makes of its prompt."""
import collections
import unittest

import recombine

LANGUAGE = """## The schedule language

A list of steps `verb(subject, parameter=value); …`. fuse(*): inside. split(value): undoes it.
vectorize(*, width=16), unroll(*, factor=4), parallel(*, grain=0), stream_stores(*). approximate(exp), flag(-mprefer-vector-width=512).

## Proposal

This is proposal {number} of the session.
"""


def prompt(number, base="fuse(*)", told=""):
    return f"## Parent\n\n```schedule\n{base}\n```\n{told}{LANGUAGE.format(number=number)}"


def steps(text):
    return recombine.steps_of(text.split("```schedule\n")[1])


def drawn(base="fuse(*)", told="", times=2000):
    """How often each step is new in an answer, over so many proposals."""
    before = recombine.steps_of(base)
    return collections.Counter(s for n in range(times) for s in steps(recombine.answer(prompt(n, base, told))) if s not in before)


UNROLL, VECTORS, APPROXIMATE = ("unroll", ("*", "factor=4")), ("vectorize", ("*", "width=16")), ("approximate", ("exp",))


class Recombine(unittest.TestCase):
    def test_the_same_prompt_gives_the_same_answer(self):
        self.assertEqual(recombine.answer(prompt(1)), recombine.answer(prompt(1)))
        self.assertGreater(len({recombine.answer(prompt(n)) for n in range(20)}), 5)

    def test_told_nothing_it_draws_every_step_alike_and_keeps_the_parents(self):
        even = drawn()
        for step in (UNROLL, VECTORS, APPROXIMATE, ("stream_stores", ("*",)), ("flag", ("-mprefer-vector-width=512",))):
            self.assertGreater(even[step], 150, step)
        self.assertTrue(all(("fuse", ("*",)) in steps(recombine.answer(prompt(n))) for n in range(50)))
        self.assertEqual(even[("split", ("value",))], 0)

    def test_what_lost_or_failed_is_never_drawn(self):
        told = "- unroll(*, factor=4): passed, 0.80x of its parent's speed, 2.0x of the plain loop nest's\n- vectorize(*, width=16): incorrect_numerical: off\n"
        some = drawn(told=told)
        self.assertEqual((some[UNROLL], some[VECTORS]), (0, 0))
        self.assertGreater(some[APPROXIMATE], 150)

    def test_what_gained_is_drawn_more(self):
        told = "- vectorize(*, width=16): passed, 2.50x of its parent's speed, 2.5x of the plain loop nest's\n"
        self.assertGreater(drawn(told=told)[VECTORS], 1.5 * drawn()[VECTORS])

    def test_what_helped_elsewhere_keeps_nothing_untried_from_being_drawn(self):
        told = "- unroll(factor=4): faster in 9 of 10 tries where the parent was bound by memory\n- vectorize(width=16): faster in 8 of 9 tries\n"
        some = drawn(told=told)
        self.assertGreater(some[UNROLL], drawn()[UNROLL])
        self.assertGreater(some[APPROXIMATE], drawn()[APPROXIMATE] / 2)

    def test_what_helped_nowhere_is_drawn_less(self):
        told = "- stream_stores(): faster in 0 of 12 tries\n"
        self.assertLessEqual(drawn(told=told)[("stream_stores", ("*",))], 1.2 * drawn()[("stream_stores", ("*",))])

    def test_a_step_takes_the_place_of_the_same_one(self):
        for n in range(100):
            places = [recombine.place_of(s) for s in steps(recombine.answer(prompt(n, "fuse(*); vectorize(*, width=8)")))]
            self.assertEqual(len(places), len(set(places)))

    def test_without_anything_to_go_by_it_answers(self):
        self.assertIn("```schedule", recombine.answer(""))


if __name__ == "__main__":
    unittest.main()
