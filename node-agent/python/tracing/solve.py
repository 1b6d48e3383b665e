"""Integers that were seen under several bindings of the axes, explained as expressions over the axes."""
import itertools
from fractions import Fraction

PRIMES = [67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167, 173, 179, 181]
SMALL_PRIMES = [11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107]
BINDINGS = 6  # five explain up to four coefficients and a constant, the sixth verifies


def choose_bindings(axes, step=1):
    """Distinct prime multiples of `step`, no value shared by two axes; the parity of every other binding differs, for floor division."""
    if not axes:
        return [{}]
    pool = PRIMES if len(axes) <= 2 else SMALL_PRIMES
    bindings = []
    for number in range(BINDINGS):
        values = [pool[(number * 5 + 7 * position) % len(pool)] for position in range(len(axes))]
        while len(set(values)) != len(values):
            values = [pool[(pool.index(v) + 1 + i) % len(pool)] for i, v in enumerate(values)]
        if step == 1 and number % 2:
            values = [v + 1 for v in values]
        bindings.append({axis: value * step for axis, value in zip(axes, values)})
    return bindings


def expression(values, bindings):
    """Text of an integer expression that gives values[i] under bindings[i], or None."""
    if all(v == values[0] for v in values):
        return str(values[0])
    axes = list(bindings[0])
    monomials = [m for degree in (1, 2, 3, 4) for m in itertools.combinations_with_replacement(axes, degree)]
    columns = {m: [evaluate_monomial(m, b) for b in bindings] for m in monomials}
    for count in (1, 2, 3, 4):
        pool = monomials if count <= 2 else [m for m in monomials if len(m) <= 2]
        for chosen in itertools.combinations(pool[:40], count):
            found = linear(values, [columns[m] for m in chosen])
            if found is not None:
                return format_sum(chosen, found[:-1], found[-1])
    for monomial in monomials:
        found = floor_division(values, columns[monomial])
        if found is not None:
            a, b, c = found
            return "(%s)//%d" % (format_sum([monomial], [a], b), c)
    return None


def evaluate_monomial(monomial, binding):
    product = 1
    for axis in monomial:
        product *= binding[axis]
    return product


def linear(values, columns):
    """Integer coefficients and constant of values = sum(a_i * column_i) + b, or None."""
    size = len(columns) + 1
    if size >= len(values) + 0:
        return None
    rows = [[Fraction(c[i]) for c in columns] + [Fraction(1), Fraction(values[i])] for i in range(size)]
    for pivot in range(size):
        swap = next((r for r in range(pivot, size) if rows[r][pivot] != 0), None)
        if swap is None:
            return None
        rows[pivot], rows[swap] = rows[swap], rows[pivot]
        rows[pivot] = [x / rows[pivot][pivot] for x in rows[pivot]]
        for r in range(size):
            if r != pivot and rows[r][pivot] != 0:
                rows[r] = [x - rows[r][pivot] * y for x, y in zip(rows[r], rows[pivot])]
    solution = [row[-1] for row in rows]
    if any(x.denominator != 1 for x in solution) or any(x == 0 for x in solution[:-1]):
        return None
    solution = [int(x) for x in solution]
    for i, value in enumerate(values):
        if sum(a * c[i] for a, c in zip(solution, columns)) + solution[-1] != value:
            return None
    return solution


def floor_division(values, column):
    """(a, b, c) with values = (a * column + b) // c, or None; the smallest |b| that fits."""
    for c in list(range(2, 65)) + [128, 256, 512, 1024]:
        for a in (1, 2, 3, 4):
            low = max(v * c - a * m for v, m in zip(values, column))
            high = min(v * c - a * m for v, m in zip(values, column)) + c - 1
            if low <= high:
                return a, (0 if low <= 0 <= high else low if low > 0 else high), c
    return None


def format_sum(monomials, factors, constant):
    text = ""
    for monomial, factor in zip(monomials, factors):
        product = "*".join(monomial) if abs(factor) == 1 else "*".join(monomial) + "*" + str(abs(factor))
        sign = "-" if factor < 0 else "+"
        text = (("-" if factor < 0 else "") + product) if not text else "%s %s %s" % (text, sign, product)
    if constant:
        text += " %s %d" % ("-" if constant < 0 else "+", abs(constant))
    return text
